"""Servers with a gateway, for those who know its other faces."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from letta_grpc.app import serving
from letta_grpc.settings import Settings
from letta_grpc.v1 import agent_service_pb2, agents_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.support.gateways import blocks_of
from tests.support.wires import Stubs

Frame = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Faced:
    """A server: its gateway's URL, a client of that, and the RPCs behind it."""

    url: str
    http: httpx2.AsyncClient
    wire: Stubs

    async def agent(self, model: str = "scripted/echo", **more: Any) -> str:  # noqa: ANN401 - of any field
        """Make an agent."""
        new = agents_pb2.Agent(model=model, **more)
        made = await self.wire.agents.CreateAgent(agent_service_pb2.CreateAgentRequest(agent=new, include_base_tools=False))
        return made.agent.id

    async def frames(self, **body: Any) -> list[Frame]:  # noqa: ANN401 - any JSON
        """The frames of a whole stream."""
        answer = await self.http.post("/stream", json=body)
        assert answer.status_code == 200, answer.text
        return frames_of(answer.text)

    async def runs(self, agent_id: str) -> list[runs_pb2.Run]:
        """All runs of an agent."""
        return list((await self.wire.runs.ListRuns(pb.ListRunsRequest(agent_id=agent_id))).runs)

    async def ended(self, run_id: str) -> runs_pb2.Run:
        """A run, once it has ended."""
        async for response in self.wire.runs.AttachRun(pb.AttachRunRequest(run_id=run_id)):
            for event in response.events:
                if event.HasField("run_finished"):
                    return event.run_finished.run
        raise AssertionError("the stream ended without the end of the run")


@asynccontextmanager
async def faced(folder: Path, **settings: Any) -> AsyncIterator[Faced]:  # noqa: ANN401 - of any field
    """Run a server with its gateway."""
    chosen = Settings(
        **{
            "listen": "127.0.0.1:0",
            "http": "127.0.0.1:0",
            "database": f"sqlite:///{folder / 'letta.db'}",
            "drain_seconds": 0,
            **settings,
        }
    )
    async with serving(chosen, {}) as server, server.in_process.channel() as channel:
        assert server.http
        headers = {"accept-encoding": "identity"}
        async with httpx2.AsyncClient(base_url=server.http, headers=headers, trust_env=False, timeout=20) as client:
            yield Faced(server.http, client, Stubs(channel))


def frames_of(text: str) -> list[Frame]:
    """The frames in a stream of events that are data alone."""
    return [json.loads(block.removeprefix("data: ")) for block in blocks_of(text) if not block.startswith(":")]


def script(*actions: Any) -> str:  # noqa: ANN401 - any JSON
    """A message to `scripted/script`: what it does in one step, or in several where lists are given."""
    steps = list(actions) if actions and isinstance(actions[0], list) else [list(actions)]
    return json.dumps(steps)
