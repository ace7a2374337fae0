"""A server that passes calls on to a stand-in for Anthropic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from letta_grpc.settings import Provider
from letta_grpc.v1 import agent_service_pb2
from tests.support.anthropic_upstream import FakeAnthropic, fake_anthropic
from tests.support.faces import Faced, faced
from tests.support.houses import said

MESSAGES = "/v1/anthropic/v1/messages"
HELLO = [{"role": "user", "content": "hello"}]


@asynccontextmanager
async def proxied(folder: Path, key: str | None = None, **settings: Any) -> AsyncIterator[tuple[Faced, FakeAnthropic]]:  # noqa: ANN401 - of any field
    async with fake_anthropic() as fake, asyncio.timeout(30):
        provider = Provider(base_url=f"{fake.url}/v1/", api_key=SecretStr(key) if key else None)
        async with faced(folder, providers={"anthropic": provider}, **settings) as server:
            yield server, fake


async def captured(server: Faced) -> list[tuple[str, str]]:
    """Who said what, once it is there: a capture comes after its answer."""
    while True:
        found = await server.wire.agents.ListAgents(agent_service_pb2.ListAgentsRequest(tags=["claude-code"]))
        if found.agents:
            assert [agent.name for agent in found.agents] == ["claude-code-default"]
            request = agent_service_pb2.ListMessagesRequest(agent_id=found.agents[0].id)
            messages = (await server.wire.agents.ListMessages(request)).messages
            if len(messages) >= 2:
                return said(messages)
