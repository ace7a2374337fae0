"""Cases about errors: every reason of the contract, as the status of a call or as the end of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from grpc import StatusCode

from letta_grpc.conformance.cases import Call, Case, Failure, Printed, Refusal, Seen, Send
from letta_grpc.conformance.logs import finished, said
from letta_grpc.conformance.streams import LOG, TEXT, sends
from letta_grpc.v1 import errors_pb2, runs_pb2

# What the server asks to wait before another try, where one helps.
_RETRY_MILLISECONDS = 20
_RUN = {"run_id": "run-1"}
_CALL = {"tool_call_id": "call-1", "run_id": "run-1"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """How a reason comes: the code of the call, and the facts beside it."""

    code: StatusCode
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


# Reasons that end a call for good.
FATAL: Mapping[str, Meaning] = {
    "INVALID_REQUEST": Meaning(StatusCode.INVALID_ARGUMENT),
    "MODEL_UNKNOWN": Meaning(StatusCode.INVALID_ARGUMENT, {"model": "nobody/none"}),
    "TOOL_SOURCE_INVALID": Meaning(StatusCode.INVALID_ARGUMENT),
    "CREDENTIALS_MISSING": Meaning(StatusCode.UNAUTHENTICATED),
    "CREDENTIALS_INVALID": Meaning(StatusCode.UNAUTHENTICATED),
    "AGENT_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"agent_id": "agent-1"}),
    "RUN_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, _RUN),
    "CONVERSATION_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"conversation_id": "conv-1"}),
    "BLOCK_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"block_id": "block-1"}),
    "TOOL_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"tool_id": "tool-1"}),
    "MCP_SERVER_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"mcp_server_id": "mcp-1"}),
    "PASSAGE_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"passage_id": "passage-1"}),
    "STEP_NOT_FOUND": Meaning(StatusCode.NOT_FOUND, {"step_id": "step-1"}),
    "REQUEST_ID_REUSED": Meaning(StatusCode.ALREADY_EXISTS, {"request_id": "request-1", "run_id": "run-1"}),
    "NAME_TAKEN": Meaning(StatusCode.ALREADY_EXISTS, {"name": "ada"}),
    "CONVERSATION_BUSY": Meaning(StatusCode.ABORTED, {"active_run_id": "run-1", "conversation_id": "conv-1"}),
    "RESOURCE_IN_USE": Meaning(StatusCode.FAILED_PRECONDITION, {"active_run_id": "run-1", "conversation_id": "conv-1"}),
    "CONCURRENT_CHANGE": Meaning(StatusCode.ABORTED, {"block_id": "block-1"}),
    "APPROVAL_PENDING": Meaning(StatusCode.FAILED_PRECONDITION, {"run_id": "run-1", "tool_call_ids": "call-1,call-2"}),
    "APPROVAL_EXPIRED": Meaning(StatusCode.FAILED_PRECONDITION, _CALL),
    "APPROVAL_ALREADY_RESOLVED": Meaning(StatusCode.FAILED_PRECONDITION, _CALL),
    "TOOL_SANDBOX_UNAVAILABLE": Meaning(StatusCode.FAILED_PRECONDITION),
    "MCP_SERVER_FAILED": Meaning(StatusCode.FAILED_PRECONDITION, {"mcp_server_id": "mcp-1"}),
    "EVENTS_EXPIRED": Meaning(StatusCode.OUT_OF_RANGE, {"run_id": "run-1", "oldest": "7", "last": "9"}),
    "CURSOR_AHEAD": Meaning(StatusCode.OUT_OF_RANGE, {"run_id": "run-1", "last": "9"}),
    "QUEUE_FULL": Meaning(StatusCode.RESOURCE_EXHAUSTED, {"limit": "100"}),
    "MESSAGE_TOO_LARGE": Meaning(StatusCode.RESOURCE_EXHAUSTED, {"size": "9000000", "limit": "4194304"}),
    "INTERNAL": Meaning(StatusCode.INTERNAL),
}
# Reasons that pass by themselves: the call is made again.
PASSING: Mapping[str, Meaning] = {
    "STREAM_RECYCLED": Meaning(StatusCode.ABORTED),
    "TOO_MANY_STREAMS": Meaning(StatusCode.RESOURCE_EXHAUSTED, {"limit": "64"}),
    "SERVER_DRAINING": Meaning(StatusCode.UNAVAILABLE),
    "STORE_UNAVAILABLE": Meaning(StatusCode.UNAVAILABLE),
    "EMBEDDINGS_FAILED": Meaning(StatusCode.UNAVAILABLE, {"model": "openai/text-embedding-3-small"}),
}
# Reasons of runs that failed; the call ends OK.
OF_RUNS: Mapping[str, Mapping[str, str]] = {
    "MODEL_RATE_LIMITED": {"model": "openai/gpt-4o-mini"},
    "MODEL_OVERLOADED": {},
    "MODEL_TIMEOUT": {},
    "MODEL_AUTH_FAILED": {},
    "MODEL_BAD_REQUEST": {},
    "CONTEXT_WINDOW_EXCEEDED": {},
    "INSUFFICIENT_CREDITS": {},
    "INVALID_MODEL_OUTPUT": {},
    "RUN_TIMEOUT": {},
    "RUN_LOST": {},
}
_FIELDS = {"run.messages": "is empty"}


def _fatal(reason: str, meaning: Meaning) -> Case:
    fields = _FIELDS if reason == "INVALID_REQUEST" else {}
    end = Refusal(code=meaning.code, reason=reason, metadata=meaning.metadata, fields=fields)
    return Case(
        name=f"refused_{reason.lower()}",
        about=f"The start is refused: {meaning.code.name} / {reason}. It is not repeated.",
        calls=[Call(end=end, accepts=False)],
        printed=Printed(error=Failure(code=meaning.code.name, reason=reason, metadata=meaning.metadata, fields=fields)),
    )


def _passing(reason: str, meaning: Meaning) -> Case:
    end = Refusal(code=meaning.code, reason=reason, metadata=meaning.metadata, retry_milliseconds=_RETRY_MILLISECONDS)
    return Case(
        name=f"passing_{reason.lower()}",
        about=f"{meaning.code.name} / {reason} refuses the start, then cuts the stream after four events. It passes.",
        calls=[Call(end=end, accepts=False), Call(deeds=sends(LOG[:4]), end=end), Call(deeds=sends(LOG[4:]))],
        printed=Printed(events=range(1, len(LOG) + 1), text=TEXT, state="COMPLETED"),
        seen=Seen(starts=2, attached_after=[4]),
        log=LOG,
    )


def _of_run(reason: str, metadata: Mapping[str, str]) -> Case:
    error = errors_pb2.RunError(reason=reason, message="the run failed", metadata=metadata)
    log = said(["Half"], finished(runs_pb2.RUN_STATE_FAILED, runs_pb2.STOP_REASON_MODEL_ERROR, error))
    return Case(
        name=f"failed_{reason.lower()}",
        about=f"The run fails with {reason}. The call ends OK: the error is the run's.",
        calls=[Call(deeds=[Send(log)])],
        printed=Printed(
            events=range(1, len(log) + 1),
            text="Half",
            state="FAILED",
            error=Failure(code="", reason=reason, metadata=metadata),
        ),
        log=log,
    )


def _refused(name: str, about: str, end: Refusal, printed: Failure) -> Case:
    return Case(name=name, about=about, calls=[Call(end=end, accepts=False)], printed=Printed(error=printed))


_EXPIRED = Refusal(
    code=StatusCode.OUT_OF_RANGE, reason="EVENTS_EXPIRED", metadata={"run_id": "run-1", "oldest": "7", "last": "9"}
)
_OTHERS = (
    _refused(
        "refused_by_a_newer_server",
        "A reason that no contract lists is handed on as it is.",
        Refusal(code=StatusCode.FAILED_PRECONDITION, reason="NOT_WHILE_DREAMING", metadata={"until": "dawn"}),
        Failure(code="FAILED_PRECONDITION", reason="NOT_WHILE_DREAMING", metadata={"until": "dawn"}),
    ),
    _refused(
        "refused_without_details",
        "A proxy refuses: there is a code and nothing else.",
        Refusal(code=StatusCode.PERMISSION_DENIED),
        Failure(code="PERMISSION_DENIED"),
    ),
    Case(
        name="expired_while_away",
        about="After a cut the events that follow are no longer kept: an error, behind what came before.",
        calls=[Call(deeds=sends(LOG[:4]), end=Refusal()), Call(end=_EXPIRED, accepts=False)],
        printed=Printed(
            events=range(1, 5),
            error=Failure(code="OUT_OF_RANGE", reason="EVENTS_EXPIRED", metadata=_EXPIRED.metadata),
        ),
        seen=Seen(attached_after=[4]),
        log=LOG,
    ),
)

REFUSALS: tuple[Case, ...] = (
    *(_fatal(reason, meaning) for reason, meaning in FATAL.items()),
    *(_passing(reason, meaning) for reason, meaning in PASSING.items()),
    *(_of_run(reason, metadata) for reason, metadata in OF_RUNS.items()),
    *_OTHERS,
)
