"""Helpers of the suites: runs, and what is read of them."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from letta_grpc.domain.events import NumberedEvent, RunEvent, TextDelta
from letta_grpc.domain.frames import split_frames
from letta_grpc.domain.ids import RunId, new_message_id, new_run_id
from letta_grpc.domain.messages import Role, SpokenInput, TextPart
from letta_grpc.domain.runs import RunSpec
from letta_grpc.ports.codec import EventCodec
from letta_grpc.ports.journal import Begin, Claim, Start
from letta_grpc.ports.log import EventLog
from letta_grpc.testing.stores.world import World, admitted

LEASE_TIME = timedelta(seconds=30)
_MESSAGE = new_message_id()


def deltas(count: int, text: str = "word ") -> list[RunEvent]:
    """Return `count` pieces of text."""
    return [TextDelta(_MESSAGE, 0, text) for _ in range(count)]


def new_start(world: World, like: Claim | None = None, **fields: object) -> Start:
    """Return a start in the conversation of another run, under a request id of its own."""
    run_id = new_run_id()
    values = {
        "run_id": run_id,
        "agent_id": like.run.agent_id if like else world.new_agent().id,
        "conversation_id": like.run.conversation_id if like else None,
        "request_id": f"request of {run_id}",
        "fingerprint": "payload",
        "spec": RunSpec(messages=(SpokenInput(role=Role.USER, content=(TextPart("hello"),)),)),
    }
    return Start(**(values | fields))  # type: ignore[arg-type]  # the fields that a test names


async def claim_with(world: World, start: Start, begin: Begin | None = None) -> Claim:
    """Claim a start and admit it."""
    now = world.time()
    return await world.journal.claim(start, lambda agent, found, spec: admitted(start, agent, found, spec, now), begin)


async def running(world: World, text: str = "hello") -> Claim:
    """Start a run of a new agent."""
    return await world.start(await world.default(await world.agent()), text)


async def frames_of(log: EventLog, run_id: RunId, after: int = 0, max_bytes: int = 2**20) -> list[bytes]:
    """Return the frames of all events after a number, read page by page, and check that the pages join."""
    frames: list[bytes] = []
    async with asyncio.timeout(20):
        while True:
            page = await log.read(run_id, after, max_bytes)
            here = list(split_frames(page.frames))
            if (page.first, page.last) != (after + 1, after + len(here)):
                raise AssertionError(f"{len(here)} events are not those of {page.first} to {page.last} after {after}")
            if not here:
                return frames
            frames += here
            after = page.last


async def events_of(log: EventLog, codec: EventCodec, run_id: RunId) -> Sequence[NumberedEvent]:
    """Return all events of a run; they are numbered from 1 without a gap."""
    numbered = [codec.decode(frame) for frame in await frames_of(log, run_id)]
    if [event.sequence_number for event in numbered] != list(range(1, len(numbered) + 1)):
        raise AssertionError("the numbers have a gap")
    return numbered


async def kinds_of(log: EventLog, codec: EventCodec, run_id: RunId) -> list[str]:
    """Return the names of a run's events."""
    return [type(numbered.event).__name__ for numbered in await events_of(log, codec, run_id)]
