"""An import whose client leaves before it is through."""

import asyncio
from pathlib import Path

from starlette.requests import Request

from letta_grpc.app import serving
from letta_grpc.gateway.faces.letta.agent_files import import_
from letta_grpc.gateway.faces.letta.operations import Ask, Method, Q, R
from letta_grpc.gateway.faces.letta.services import Services
from letta_grpc.settings import Settings
from letta_grpc.v1 import agent_service_pb2, tool_service_pb2
from tests.support.agent_file import agent, agent_file


class Left(Ask):
    """A request whose client leaves when the second agent is to be made."""

    async def call(self, method: Method[Q, R], request: Q) -> R:
        if isinstance(request, agent_service_pb2.ImportAgentRequest) and request.file.agent.name == "agent 1":
            task = asyncio.current_task()
            assert task
            task.cancel()
        return await super().call(method, request)


async def test_who_leaves_in_the_middle_of_an_import_leaves_nothing(tmp_path: Path) -> None:
    settings = Settings(listen="127.0.0.1:0", database=f"sqlite:///{tmp_path / 'letta.db'}", drain_seconds=0)
    async with asyncio.timeout(20), serving(settings, {}) as server, server.in_process.channel() as channel:
        services = Services(channel)
        file = agent_file(agent(0), agent(1, messages=[], in_context_message_ids=[]))
        request = Request({"type": "http", "method": "POST", "headers": [], "query_string": b""})
        before = (await services.tools.ListTools(tool_service_pb2.ListToolsRequest())).tools
        async with asyncio.TaskGroup() as group:
            importing = group.create_task(import_(Left(request, services, file, ())))
        assert importing.cancelled()
        assert not (await services.agents.ListAgents(agent_service_pb2.ListAgentsRequest())).agents
        assert (await services.tools.ListTools(tool_service_pb2.ListToolsRequest())).tools == before
