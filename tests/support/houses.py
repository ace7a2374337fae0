"""The whole server on SQLite, reached through a socket or in process, and a talk with one of its agents."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from pydantic import SecretStr

from letta_grpc.app import InProcessServer, serving, serving_in_process
from letta_grpc.settings import Provider, Settings
from letta_grpc.v1 import agent_service_pb2, agents_pb2, events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.support.http_channel import http_channel
from tests.support.server_process import gateway_process
from tests.support.upstream import Upstream
from tests.support.wires import Stubs, Way, dialed

PROVIDER = "up"


class Wire(Stubs):
    """Every service's stub, and the house behind them."""

    def __init__(self, channel: grpc.aio.Channel, house: InProcessServer) -> None:
        super().__init__(channel)
        self.house = house


@asynccontextmanager
async def wired(way: Way, folder: Path, **settings: Any) -> AsyncIterator[Wire]:  # noqa: ANN401 - of any field
    """Run a server with a database in `folder`."""
    defaults: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "database": f"sqlite:///{folder / 'letta.db'}",
        # What still runs at the end of a test is of no interest to anybody.
        "drain_seconds": 0,
        "http": "127.0.0.1:0" if way == "http" else None,
    }
    chosen = Settings(**(defaults | settings))
    async with AsyncExitStack() as stack:
        if way == "local":
            house = await stack.enter_async_context(serving_in_process(chosen, {}))
            yield Wire(await stack.enter_async_context(house.channel()), house)
            return
        server = await stack.enter_async_context(serving(chosen, {}))
        if way == "socket":
            channel = await stack.enter_async_context(dialed(server.address))
        elif way == "remote":
            url = await stack.enter_async_context(gateway_in_front(folder, server.address))
            channel = await stack.enter_async_context(http_channel(url, "application/x-ndjson"))
        else:
            assert server.http
            channel = await stack.enter_async_context(http_channel(server.http, "text/event-stream"))
        yield Wire(channel, server.in_process)


@asynccontextmanager
async def gateway_in_front(folder: Path, address: str) -> AsyncIterator[str]:
    """Run a gateway as a process of its own; yield its URL. The loop is the server's, which must not wait for it."""
    with ExitStack() as stack:
        url, _ = await asyncio.to_thread(stack.enter_context, gateway_process(folder, address))
        try:
            yield url
        finally:
            await asyncio.to_thread(stack.close)


def provider_of(upstream: Upstream, key: str | None = "any") -> dict[str, Provider]:
    """The settings that make the upstream's models `up/…`."""
    return {PROVIDER: Provider(base_url=upstream.base_url, api_key=SecretStr(key) if key else None)}


def text_input(text: str) -> messages_pb2.InputMessage:
    return messages_pb2.InputMessage(user=messages_pb2.UserInput(text=text))


def spec_of(*texts: str, **more: Any) -> runs_pb2.RunSpec:  # noqa: ANN401 - of any field
    return runs_pb2.RunSpec(messages=[text_input(text) for text in texts], **more)


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation with an agent."""

    wire: Stubs
    agent_id: str

    def start(self, *texts: str, request_id: str = "", **spec: Any) -> pb.StreamRunRequest:  # noqa: ANN401 - of any field
        return pb.StreamRunRequest(agent_id=self.agent_id, request_id=request_id, run=spec_of(*texts, **spec))

    async def ask(self, *texts: str, **more: Any) -> list[events_pb2.RunEvent]:  # noqa: ANN401 - of any field
        """Run once; the events of the whole stream, which ended with OK."""
        call = self.wire.runs.StreamRun(self.start(*texts, **more))
        events = [event async for response in call for event in response.events]
        assert await call.code() == grpc.StatusCode.OK
        assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))
        return events

    async def history(self) -> list[messages_pb2.Message]:
        """Every message, in order, and no call without its return."""
        messages: list[messages_pb2.Message] = []
        token = ""
        while True:
            request = agent_service_pb2.ListMessagesRequest(agent_id=self.agent_id, page_size=1000, page_token=token)
            page = await self.wire.agents.ListMessages(request)
            messages += page.messages
            token = page.next_page_token
            if not token:
                break
        calls = [call.id for message in messages for call in message.tool_calls]
        returns = [returned.tool_call_id for message in messages for returned in message.tool_returns]
        assert sorted(calls) == sorted(returns)
        return messages

    async def goes_on(self) -> None:
        """Show that the conversation takes another turn, with a model that works."""
        before = await self.history()
        events = await self.ask("still there", model="scripted/echo")
        assert run_of(events).state == runs_pb2.RUN_STATE_COMPLETED, run_of(events)
        after = await self.history()
        assert after[: len(before)] == before
        assert said(after[len(before) :]) == [("USER", "still there"), ("ASSISTANT", "still there")]


async def talk(wire: Stubs, model: str = "scripted/echo", tools: Sequence[str] = (), **agent: Any) -> Talk:  # noqa: ANN401 - of any field
    """Make an agent to talk with."""
    new = agents_pb2.Agent(model=model, tools=tools, **agent)
    made = await wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new, include_base_tools=False))
    return Talk(wire, made.agent.id)


def run_of(events: Sequence[events_pb2.RunEvent]) -> runs_pb2.Run:
    """The run as its last event tells it."""
    assert [event.WhichOneof("payload") for event in events].count("run_finished") == 1
    return events[-1].run_finished.run


def said(messages: Sequence[messages_pb2.Message]) -> list[tuple[str, str]]:
    """Who said what; a tool says its returns."""
    return [
        (
            messages_pb2.Role.Name(message.role).removeprefix("ROLE_"),
            "".join(part.text for part in message.content) or " | ".join(returned.text for returned in message.tool_returns),
        )
        for message in messages
    ]
