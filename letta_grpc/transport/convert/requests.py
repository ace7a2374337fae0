"""The requests of RunService."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from letta_grpc.domain.ids import AgentId, ConversationId, RunId, StepId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.stores import RunFilter
from letta_grpc.transport.convert.conversations import optional_conversation
from letta_grpc.transport.convert.enums import RUN_STATES, STOP_REASONS
from letta_grpc.transport.convert.paging import page_from_pb, page_size_from_pb, position_from_token
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.runs import spec_from_pb
from letta_grpc.transport.convert.times import checked_duration, checked_timestamp
from letta_grpc.v1 import events_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb

_INT32_MAX = 2**31 - 1
_MAX_CHUNK_CHARS = 65_536
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_SHORTEST_HEARTBEAT, _LONGEST_HEARTBEAT = timedelta(seconds=1), timedelta(minutes=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How one reader wants to see a run. `kinds` are numbers of EventKind, None for all; `heartbeat_seconds` None for none."""

    kinds: frozenset[int] | None = None
    omit_deltas: bool = False
    heartbeat_seconds: float | None = 15.0
    min_chunk_chars: int = 0
    max_tokens_per_second: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether every event goes out as it comes."""
        shaped = self.kinds is not None or self.omit_deltas or self.min_chunk_chars or self.max_tokens_per_second
        return not shaped


_DEFAULT = View()


class StartFields(Protocol):
    """What all requests have that start a run."""

    agent_id: str
    conversation_id: str
    request_id: str

    @property
    def run(self) -> runs_pb2.RunSpec:
        """What to run."""
        ...


def start_from_pb(request: StartFields, traceparent: str | None) -> StartRequest:
    """Return the start that a request asks for."""
    with Rules() as rules:
        return read_start(rules, request, traceparent)


def stream_from_pb(request: pb.StreamRunRequest | pb.ConverseStart, traceparent: str | None) -> tuple[StartRequest, View]:
    """Return the start that a request asks for, and how its caller wants to see the run."""
    with Rules() as rules:
        start = read_start(rules, request, traceparent)
        view = read_view(rules, request.options)
    return start, view


def attach_from_pb(request: pb.AttachRunRequest | pb.ConverseAttach) -> tuple[RunId, int, View]:
    """Return which run to follow, after which number, and how."""
    with Rules() as rules:
        run_id = rules.id("run_id", "run", request.run_id)
        after = rules.number("after_sequence_number", request.after_sequence_number, 0, _INT32_MAX)
        view = read_view(rules, request.options)
    return RunId(run_id), after, view


def read_start(rules: Rules, request: StartFields, traceparent: str | None, path: str = "") -> StartRequest:
    """Return a start; `path` comes before the names of its fields."""
    return StartRequest(
        agent_id=AgentId(rules.id(f"{path}agent_id", "agent", request.agent_id)),
        conversation_id=optional_conversation(rules, f"{path}conversation_id", request.conversation_id),
        request_id=request_id_from_pb(rules, request.request_id, f"{path}request_id"),
        spec=spec_from_pb(rules, f"{path}run", request.run),
        traceparent=traceparent,
    )


def request_id_from_pb(rules: Rules, text: str, path: str = "request_id") -> str | None:
    """Return a request id, None where there is none."""
    # One spelling, so that a client that writes its UUIDs in capitals on one day finds its run on the other.
    request_id = text.lower()
    if text and not _UUID.fullmatch(request_id):
        rules.broken(path, "must be a UUID")
    return request_id or None


def read_view(rules: Rules, options: pb.StreamOptions) -> View:
    """Return how a reader wants to see a run."""
    heartbeat = _DEFAULT.heartbeat_seconds
    if options.HasField("heartbeat_interval"):
        heartbeat = _heartbeat_seconds(rules, options)
    return View(
        kinds=_kinds(rules, options) if options.event_kinds else None,
        omit_deltas=options.omit_deltas,
        heartbeat_seconds=heartbeat,
        min_chunk_chars=rules.number("options.min_chunk_chars", options.min_chunk_chars, 0, _MAX_CHUNK_CHARS),
        max_tokens_per_second=rules.at_least("options.max_tokens_per_second", options.max_tokens_per_second, 0),
    )


def _heartbeat_seconds(rules: Rules, options: pb.StreamOptions) -> float | None:
    interval = options.heartbeat_interval
    if interval.seconds == 0 and interval.nanos == 0:
        return None
    path = "options.heartbeat_interval"
    return checked_duration(rules, path, interval, _SHORTEST_HEARTBEAT, _LONGEST_HEARTBEAT).total_seconds()


def _kinds(rules: Rules, options: pb.StreamOptions) -> frozenset[int]:
    known = events_pb2.EventKind.values()
    kinds = rules.at_most("options.event_kinds", options.event_kinds, len(known))
    for index, kind in enumerate(kinds):
        if kind == events_pb2.EVENT_KIND_UNSPECIFIED or kind not in known:
            rules.broken(f"options.event_kinds[{index}]", f"must be a kind of event, is {int(kind)}")
    return frozenset(kinds)


def run_id_from_pb(request: pb.GetRunRequest | pb.CancelRunRequest | pb.ConverseCancel) -> RunId:
    """Return which run is meant."""
    with Rules() as rules:
        run_id = rules.id("run_id", "run", request.run_id)
    return RunId(run_id)


def steps_query_from_pb(request: pb.ListStepsRequest) -> tuple[RunId | None, AgentId | None, PageRequest]:
    """Return which steps to list: of a run, of an agent, or of all."""
    with Rules() as rules:
        run_id = rules.optional_id("run_id", "run", request.run_id)
        agent_id = rules.optional_id("agent_id", "agent", request.agent_id)
        if run_id and agent_id:
            rules.broken("agent_id", "must be empty beside run_id")
        page = page_from_pb(rules, request, request.after_id)
    return RunId(run_id) if run_id else None, AgentId(agent_id) if agent_id else None, page


def step_id_from_pb(request: pb.GetStepRequest) -> StepId:
    """Return which step is meant."""
    with Rules() as rules:
        step_id = rules.id("step_id", "step", request.step_id)
    return StepId(step_id)


def run_messages_query_from_pb(request: pb.ListRunMessagesRequest) -> tuple[RunId, PageRequest]:
    """Return which messages of a run to list."""
    with Rules() as rules:
        run_id = rules.id("run_id", "run", request.run_id)
        page = page_from_pb(rules, request)
    return RunId(run_id), page


def events_query_from_pb(request: pb.ListRunEventsRequest) -> tuple[RunId, int, int]:
    """Return which events to list: run, after which number, how many at most."""
    with Rules() as rules:
        run_id = rules.id("run_id", "run", request.run_id)
        size = page_size_from_pb(rules, request)
        after = position_from_token(rules, request.page_token)
        if not request.page_token:
            after = rules.number("after_sequence_number", request.after_sequence_number, 0, _INT32_MAX)
        elif after is not None and not 0 <= after <= _INT32_MAX:
            rules.broken("page_token", "must be the next_page_token of the page before")
    return RunId(run_id), after or 0, size


def runs_query_from_pb(request: pb.ListRunsRequest) -> tuple[PageRequest, RunFilter]:
    """Return which runs to list."""
    with Rules() as rules:
        page = page_from_pb(rules, request, request.after_id)
        agent_id = rules.optional_id("agent_id", "agent", request.agent_id)
        conversation_id = rules.optional_id("conversation_id", "conv", request.conversation_id)
        parent_run_id = rules.optional_id("parent_run_id", "run", request.parent_run_id)
        time_from = checked_timestamp(rules, "create_time_from", request.create_time_from)
        time_before = checked_timestamp(rules, "create_time_before", request.create_time_before)
        where = RunFilter(
            agent_id=AgentId(agent_id) if agent_id else None,
            conversation_id=ConversationId(conversation_id) if conversation_id else None,
            states=RUN_STATES.checked_all(rules, "states", request.states),
            stop_reasons=STOP_REASONS.checked_all(rules, "stop_reasons", request.stop_reasons),
            background=request.background if request.HasField("background") else None,
            has_pending_actions=request.has_pending_actions if request.HasField("has_pending_actions") else None,
            parent_run_id=RunId(parent_run_id) if parent_run_id else None,
            create_time_from=time_from if request.HasField("create_time_from") else None,
            create_time_before=time_before if request.HasField("create_time_before") else None,
        )
    return page, where
