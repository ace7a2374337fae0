"""The requests of streams that carry several runs."""

from dataclasses import dataclass
from typing import assert_never

from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import RunId
from letta_grpc.engine.starts import StartRequest
from letta_grpc.transport.convert.inputs import MAX_MESSAGES, few_pieces
from letta_grpc.transport.convert.requests import View, attach_from_pb, read_start, read_view, run_id_from_pb, stream_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.v1 import run_service_pb2 as pb

MAX_RUNS = 64
_MAX_TAG = 100


@dataclass(frozen=True, slots=True)
class Start:
    """Start a run and follow it."""

    request: StartRequest
    view: View


@dataclass(frozen=True, slots=True)
class Attach:
    """Follow a run after a number."""

    run_id: RunId
    after: int
    view: View


@dataclass(frozen=True, slots=True)
class Cancel:
    """End a run."""

    run_id: RunId


Action = Start | Attach | Cancel


def streams_from_pb(request: pb.StreamRunsRequest, traceparent: str | None) -> tuple[list[StartRequest], View]:
    """Return the starts that a request asks for, and how its caller wants to see the runs."""
    with Rules() as rules:
        rules.number("starts", len(request.starts), 1, MAX_RUNS)
        few = request.starts[:MAX_RUNS]
        starts: list[StartRequest] = []
        # All are read before the first is started, and meanwhile nobody else is answered.
        if few_pieces(rules, "starts", (message for start in few for message in start.run.messages[:MAX_MESSAGES])):
            starts = [read_start(rules, start, traceparent, f"starts[{index}].") for index, start in enumerate(few)]
        view = read_view(rules, request.options)
    return starts, view


def tag_from_pb(request: pb.ConverseRequest) -> str:
    """Return the client's name for a request."""
    with Rules() as rules:
        return rules.text("tag", request.tag, _MAX_TAG)


def action_from_pb(request: pb.ConverseRequest, traceparent: str | None) -> Action:
    """Return what a request asks for. The paths of broken rules begin inside its action."""
    match request.WhichOneof("action"):
        case "start":
            return Start(*stream_from_pb(request.start, traceparent))
        case "attach":
            return Attach(*attach_from_pb(request.attach))
        case "cancel":
            return Cancel(run_id_from_pb(request.cancel))
        case None:
            raise InvalidRequest(fields={"action": "is required: start, attach or cancel"})
        case other:
            assert_never(other)
