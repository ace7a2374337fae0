"""The catalog keeps what tools promise, whatever it is made of."""

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.domain.ids import new_run_id
from letta_grpc.ports.tools import ToolContext, Tools
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.tools import ToolsContract
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.memory_worlds import world_of
from tests.support.toolsheds import toolshed


class TestToolCatalog(ToolsContract):
    @pytest.fixture
    def database(self) -> MemoryDatabase:
        return MemoryDatabase(FakeClock(), ProtoEventCodec())

    @pytest.fixture
    def tools(self, database: MemoryDatabase) -> Tools:
        return toolshed(database, FakeClock()).catalog

    @pytest.fixture
    async def context(self, database: MemoryDatabase) -> ToolContext:
        world = world_of(database)
        agent = await world.agent()
        conversation = await world.default(agent)
        return ToolContext(agent_id=agent.id, conversation_id=conversation.id, run_id=new_run_id())
