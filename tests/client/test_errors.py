import copy
import pickle
from collections.abc import Callable, Iterator

import grpc
import pytest

from letta_grpc.client import (
    AgentNotFound,
    ApprovalExpired,
    ApprovalPending,
    AsyncClient,
    Conflict,
    ConversationBusy,
    CursorAhead,
    DeadlineExceeded,
    EventsExpired,
    Exhausted,
    InvalidRequest,
    LettaError,
    McpServerFailed,
    MessageTooLarge,
    ModelUnknown,
    NameTaken,
    NotFound,
    QueueFull,
    RequestIdReused,
    ResourceInUse,
    RetryPolicy,
    RunFailed,
    RunNotFound,
    ServerError,
    ServerUnavailable,
    StreamBroken,
    ToolNotFound,
    ToolSourceInvalid,
    Unauthenticated,
)
from letta_grpc.client.statuses import BY_REASON
from letta_grpc.v1 import errors_pb2, runs_pb2
from tests.support.scripted_server import RUN_ID, Refusal, ScriptedRuns, Turn, serving

Code = grpc.StatusCode


async def raised_for(refusal: Refusal) -> LettaError:
    runs = ScriptedRuns()
    runs.answers = [refusal]
    async with serving(runs) as target, AsyncClient(target, retry=RetryPolicy(call_attempts=1)) as client:
        with pytest.raises(LettaError) as raised:
            await client.runs.get(RUN_ID)
    return raised.value


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (Code.INVALID_ARGUMENT, "INVALID_REQUEST", InvalidRequest),
        (Code.INVALID_ARGUMENT, "MODEL_UNKNOWN", ModelUnknown),
        (Code.UNAUTHENTICATED, "CREDENTIALS_MISSING", Unauthenticated),
        (Code.NOT_FOUND, "AGENT_NOT_FOUND", AgentNotFound),
        (Code.NOT_FOUND, "RUN_NOT_FOUND", RunNotFound),
        (Code.ALREADY_EXISTS, "REQUEST_ID_REUSED", RequestIdReused),
        (Code.ALREADY_EXISTS, "NAME_TAKEN", NameTaken),
        (Code.ABORTED, "CONVERSATION_BUSY", ConversationBusy),
        (Code.FAILED_PRECONDITION, "RESOURCE_IN_USE", ResourceInUse),
        (Code.OUT_OF_RANGE, "EVENTS_EXPIRED", EventsExpired),
        (Code.OUT_OF_RANGE, "CURSOR_AHEAD", CursorAhead),
        (Code.RESOURCE_EXHAUSTED, "QUEUE_FULL", QueueFull),
        (Code.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", MessageTooLarge),
        (Code.UNAVAILABLE, "SERVER_DRAINING", ServerUnavailable),
        (Code.INTERNAL, "INTERNAL", ServerError),
        (Code.NOT_FOUND, "", NotFound),
        (Code.NOT_FOUND, "TOOL_NOT_FOUND", ToolNotFound),
        (Code.NOT_FOUND, "OF_A_KIND_NEWER_THAN_THIS_CLIENT", NotFound),
        (Code.INVALID_ARGUMENT, "TOOL_SOURCE_INVALID", ToolSourceInvalid),
        (Code.FAILED_PRECONDITION, "APPROVAL_PENDING", ApprovalPending),
        (Code.FAILED_PRECONDITION, "APPROVAL_EXPIRED", ApprovalExpired),
        (Code.FAILED_PRECONDITION, "MCP_SERVER_FAILED", McpServerFailed),
        (Code.ABORTED, "NEWER_THAN_THIS_CLIENT", Conflict),
        (Code.RESOURCE_EXHAUSTED, "", Exhausted),
        (Code.UNAVAILABLE, "", ServerUnavailable),
        (Code.UNKNOWN, "", ServerError),
        (Code.DEADLINE_EXCEEDED, "", DeadlineExceeded),
    ],
)
async def test_a_reason_or_else_a_code_becomes_its_exception(code: Code, reason: str, kind: type[LettaError]) -> None:
    error = await raised_for(Refusal(code=code, reason=reason, message="so it is"))
    assert type(error) is kind
    assert (error.code, error.reason, error.message) == (code, reason, "so it is")


async def test_an_exception_holds_what_the_details_say() -> None:
    error = await raised_for(
        Refusal(
            code=Code.INVALID_ARGUMENT,
            message="two fields are wrong",
            reason="INVALID_REQUEST",
            metadata={"limit": "64"},
            retry_milliseconds=1500,
            fields={"run.messages": "at least one", "agent_id": "must be an agent's id"},
        )
    )
    assert isinstance(error, InvalidRequest)
    assert error.fields == {"run.messages": "at least one", "agent_id": "must be an agent's id"}
    assert error.metadata == {"limit": "64"}
    assert error.retry_delay == 1.5


async def test_a_refused_start_names_the_calls_that_wait() -> None:
    facts = {"run_id": "run-1", "tool_call_ids": "call-1,call-2"}
    error = await raised_for(Refusal(code=Code.FAILED_PRECONDITION, reason="APPROVAL_PENDING", metadata=facts))
    assert isinstance(error, ApprovalPending)
    assert (error.run_id, error.tool_call_ids) == ("run-1", ["call-1", "call-2"])


async def test_an_exception_reads_well() -> None:
    refusal = Refusal(code=Code.NOT_FOUND, message="no such run", reason="RUN_NOT_FOUND", metadata={"run_id": "run-1"})
    error = await raised_for(refusal)
    assert str(error) == "no such run (RUN_NOT_FOUND, run_id=run-1)"
    assert repr(error) == "RunNotFound('no such run', reason='RUN_NOT_FOUND', run_id='run-1')"


@pytest.mark.parametrize(
    ("message", "metadata", "told"),
    [
        (
            "it is busy",
            {"conversation_id": "conv-1", "active_run_id": "run-1"},
            "(WHY, active_run_id=run-1, conversation_id=conv-1)",
        ),
        ("it has no such block", {"agent_id": "agent-1", "label": "human"}, "(WHY, agent_id=agent-1, label=human)"),
        ("the name 'dice' is taken", {"name": "dice"}, "(WHY)"),
        ("too many wait", {"limit": "64", "run_id": ""}, "(WHY)"),
    ],
)
def test_an_exception_says_which_thing_it_is_about_unless_its_words_do(
    message: str, metadata: dict[str, str], told: str
) -> None:
    assert str(LettaError(message, reason="WHY", metadata=metadata)) == f"{message} {told}"


async def test_an_unreachable_server_is_tried_a_few_times() -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    async with serving(ScriptedRuns()) as target:
        pass
    async with AsyncClient(target, sleep=nap, retry=RetryPolicy(draw=lambda: 1.0, call_attempts=4)) as client:
        with pytest.raises(ServerUnavailable):
            await client.runs.get(RUN_ID)
    assert naps == [0.1, 0.2, 0.4]


async def test_a_deadline_that_ends_the_tries_says_why_they_failed() -> None:
    runs = ScriptedRuns()
    runs.answers = [Refusal(message="not yet"), Refusal(code=Code.DEADLINE_EXCEEDED, message="too late")]
    async with serving(runs) as target, AsyncClient(target, retry=RetryPolicy(initial_seconds=0)) as client:
        with pytest.raises(DeadlineExceeded, match=r"too late; the try before failed: not yet \(UNAVAILABLE\)") as raised:
            await client.runs.get(RUN_ID)
    assert isinstance(raised.value.__cause__, ServerUnavailable)


async def test_a_start_that_may_have_happened_is_repeated_under_the_same_request_id() -> None:
    runs = ScriptedRuns([Turn()])
    runs.answers = [Refusal()]
    async with serving(runs) as target, AsyncClient(target, retry=RetryPolicy(initial_seconds=0)) as client:
        assert (await client.runs.create("agent-1", "hi")).id == RUN_ID
    first, second = runs.requests
    assert first == second


def test_every_reason_that_ends_a_call_has_an_exception() -> None:
    first_in_a_run = errors_pb2.ERROR_REASON_MODEL_RATE_LIMITED
    values = [value for value in errors_pb2.ErrorReason.values() if 0 < value < first_in_a_run]
    names = {errors_pb2.ErrorReason.Name(value).removeprefix("ERROR_REASON_") for value in values}
    assert names == set(BY_REASON)


def kinds(root: type[LettaError] = LettaError) -> Iterator[type[LettaError]]:
    yield root
    for child in root.__subclasses__():
        yield from kinds(child)


def example(kind: type[LettaError]) -> LettaError:
    if issubclass(kind, RunFailed):
        error = errors_pb2.RunError(reason="MODEL_OVERLOADED", message="too much", metadata={"provider": "openai"})
        return kind(runs_pb2.Run(id=RUN_ID, error=error))
    if issubclass(kind, StreamBroken):
        return kind("silence")
    facts = {"active_run_id": RUN_ID}
    return kind("so it is", code=Code.ABORTED, reason="WHY", metadata=facts, retry_delay=1.5, fields={"name": "is long"})


def sent(error: LettaError) -> LettaError:
    arrived: LettaError = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own, as a process pool sends it
    return arrived


@pytest.mark.parametrize("again", [copy.copy, sent])
@pytest.mark.parametrize("kind", [*kinds()])
def test_an_exception_goes_to_another_process_as_it_is(
    kind: type[LettaError], again: Callable[[LettaError], LettaError]
) -> None:
    error = example(kind)
    twin = again(error)
    assert type(twin) is kind
    assert vars(twin) == vars(error)
    assert (str(twin), repr(twin)) == (str(error), repr(error))
