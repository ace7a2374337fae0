"""What the participants of a scenario will do: all of it follows from one seed."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from letta_grpc.v1 import events_pb2, runs_pb2
from letta_grpc.v1.run_service_pb2 import StreamOptions

Way = Literal["stream", "create", "execute"]
Turns = list[list[dict[str, Any]]]

POLICIES = (runs_pb2.CONFLICT_POLICY_REJECT, runs_pb2.CONFLICT_POLICY_ENQUEUE, runs_pb2.CONFLICT_POLICY_INTERRUPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run to start, in several ways at the same time with one request id; and after how many of its events to cancel it."""

    agent: int
    text: str
    policy: runs_pb2.ConflictPolicy.ValueType
    request_id: str
    ways: tuple[Way, ...]
    cancel_after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A reader's visit of some run: from where (as a share of what is known), how long, how slowly, with which view.

    `stay`: after how many responses it leaves, None to stay. `pause`: how many events it lets pass before each response.
    """

    run: float
    position: float
    stay: int | None
    pause: int
    is_ahead: bool
    options: StreamOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The whole of it. `strikes`: after how many events, seen by anyone, the server dies."""

    seed: int
    agents: int
    writers: tuple[tuple[Job, ...], ...]
    readers: tuple[tuple[Visit, ...], ...]
    strikes: tuple[int, ...]


def plan_of(seed: int, *, agents: int = 4, writers: int = 5, jobs: int = 4, readers: int = 12, visits: int = 6) -> Plan:
    """Draw a plan."""
    dice = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    return Plan(
        seed=seed,
        agents=agents,
        writers=tuple(tuple(_job(dice, f"{writer}.{number}", agents) for number in range(jobs)) for writer in range(writers)),
        readers=tuple(tuple(_visit(dice) for _ in range(visits)) for _ in range(readers)),
        strikes=(dice.randrange(20, 800), dice.randrange(1000, 3000)),
    )


def _job(dice: random.Random, name: str, agents: int) -> Job:
    script = dice.choice(_SCRIPTS)
    turns, waits = script(dice, name), script in {_forever, _cut_call}
    spare: list[Way] = [dice.choice(("stream", "create", "execute")) for _ in range(dice.choice((0, 0, 1, 2)))]
    return Job(
        agent=dice.randrange(agents),
        text=json.dumps(turns),
        policy=dice.choice(POLICIES),
        request_id=str(UUID(int=dice.getrandbits(128), version=4)),
        ways=(dice.choice(("stream", "create")), *spare),
        cancel_after=dice.randrange(12) if waits or dice.random() < 0.15 else None,
    )


def _visit(dice: random.Random) -> Visit:
    return Visit(
        run=dice.random(),
        position=dice.choice((0.0, 1.0, dice.random())),
        stay=dice.choice((None, None, 0, dice.randrange(1, 60))),
        pause=dice.choice((0, 0, 0, dice.randrange(1, 60))),
        is_ahead=dice.random() < 0.05,
        options=dice.choice(_VIEWS),
    )


_SECOND = Duration(seconds=1)
_VIEWS = (
    StreamOptions(),
    StreamOptions(),
    StreamOptions(),
    StreamOptions(heartbeat_interval=_SECOND),
    StreamOptions(heartbeat_interval=_SECOND, omit_deltas=True),
    StreamOptions(heartbeat_interval=_SECOND, event_kinds=[events_pb2.EVENT_KIND_TOOL_RETURN]),
    StreamOptions(event_kinds=[events_pb2.EVENT_KIND_TEXT_DELTA, events_pb2.EVENT_KIND_MESSAGE_COMPLETED]),
    StreamOptions(heartbeat_interval=_SECOND, min_chunk_chars=300),
    StreamOptions(heartbeat_interval=_SECOND, min_chunk_chars=40, max_tokens_per_second=20_000),
)


def _insert(label: str, text: str) -> dict[str, Any]:
    return {"tool_call": {"name": "memory_insert", "arguments": {"label": label, "text": text}}}


def _short(dice: random.Random, name: str) -> Turns:
    return [[{"reasoning": "Hm. "}, {"text": f"{name} ", "repeat": dice.randrange(1, 30)}]]


def _long(dice: random.Random, name: str) -> Turns:
    return [[{"text": f"{name} goes on and on, ", "repeat": dice.randrange(800, 2000)}]]


def _paced(dice: random.Random, name: str) -> Turns:
    return [[{"text": f"{name} ", "repeat": dice.randrange(200, 500), "delay_ms": 5}]]


def _tools(dice: random.Random, name: str) -> Turns:
    turns: Turns = []
    for turn in range(dice.randrange(1, 4)):
        calls = [_insert(dice.choice(("own", "shared")), f"{name}/{turn}/{number}") for number in range(dice.randrange(1, 5))]
        # The provider's ids begin anew in each answer, as some do.
        turns.append([{"text": "Noted. "}, *calls])
    return [*turns, [{"text": "Done."}]]


def _bad_calls(_dice: random.Random, _name: str) -> Turns:
    wrong = [{"tool_call": {"name": "no_such_tool"}}, {"tool_call": {"name": "memory_insert", "arguments": "{broken"}}]
    return [[*wrong, _insert("nowhere", "lost")], [{"text": "Sorry."}]]


def _failing(dice: random.Random, name: str) -> Turns:
    return [[{"text": f"{name} ", "repeat": dice.randrange(0, 40)}, {"error": "MODEL_OVERLOADED"}]]


def _failing_later(_dice: random.Random, name: str) -> Turns:
    return [[_insert("own", f"{name}/kept")], [{"error": "MODEL_TIMEOUT"}]]


def _forever(_dice: random.Random, name: str) -> Turns:
    return [[{"text": f"{name} thinks ", "repeat": 12}, {"wait_for_cancel": True}]]


def _cut_call(_dice: random.Random, name: str) -> Turns:
    return [[{"text": "I ", "repeat": 12}, _insert("own", f"{name}/never"), {"wait_for_cancel": True}]]


def _nothing(_dice: random.Random, _name: str) -> Turns:
    return []


_Script = Callable[[random.Random, str], Turns]
_SCRIPTS: tuple[_Script, ...] = (
    *(_short, _long, _long, _paced, _tools, _tools, _tools),
    *(_bad_calls, _failing, _failing_later, _forever, _cut_call, _nothing),
)
