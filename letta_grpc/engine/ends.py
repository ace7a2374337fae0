"""How runs end."""

from dataclasses import dataclass

from letta_grpc.domain.approvals import PendingAction
from letta_grpc.domain.errors import (
    ContextWindowExceeded,
    InsufficientCredits,
    Internal,
    InvalidModelOutput,
    LettaError,
    ModelFailure,
    RunTimeout,
)
from letta_grpc.domain.runs import RunError, RunState, StopReason, waiting_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """State and stop reason; of a failed run also its error, of an interrupted one the calls that it waits for."""

    state: RunState
    stop_reason: StopReason
    error: RunError | None = None
    pending_actions: tuple[PendingAction, ...] = ()


CANCELLED = RunEnd(state=RunState.CANCELLED, stop_reason=StopReason.CANCELLED)


def completed(stop_reason: StopReason) -> RunEnd:
    """Return the end of a run that ended by a rule of the loop."""
    return RunEnd(state=RunState.COMPLETED, stop_reason=stop_reason)


def interrupted(actions: tuple[PendingAction, ...]) -> RunEnd:
    """Return the end of a run that cannot go on without answers to these calls."""
    return RunEnd(state=RunState.INTERRUPTED, stop_reason=waiting_reason(actions), pending_actions=actions)


def failed(error: LettaError) -> RunEnd:
    """Return the end that an error means."""
    told = RunError(reason=error.reason, message=error.message, metadata=error.metadata)
    return RunEnd(state=RunState.FAILED, stop_reason=_stop_reason(error), error=told)


def crashed() -> RunEnd:
    """Return the end of a run in which something unexpected happened; what that was is not disclosed."""
    return failed(Internal())


def _stop_reason(error: LettaError) -> StopReason:
    match error:
        case ContextWindowExceeded():
            return StopReason.CONTEXT_OVERFLOW
        case InsufficientCredits():
            return StopReason.INSUFFICIENT_CREDITS
        case InvalidModelOutput():
            return StopReason.INVALID_MODEL_OUTPUT
        case ModelFailure():
            return StopReason.MODEL_ERROR
        case RunTimeout():
            return StopReason.TIMEOUT
        case _:
            return StopReason.INTERNAL_ERROR
