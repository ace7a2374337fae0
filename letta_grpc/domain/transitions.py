"""What may follow what in a run.

Rule: every event of a run is a row of TRANSITIONS; nothing else compares phases.
"""

from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.events import (
    ApprovalRequested,
    ChildRunStarted,
    ContextCompacted,
    Custom,
    MessageCompleted,
    MessageStarted,
    ReasoningDelta,
    RunEvent,
    RunFinished,
    RunStarted,
    StepCompleted,
    StepRestarted,
    StepStarted,
    TextDelta,
    ToolCallDelta,
    ToolExecutionStarted,
    ToolOutputDelta,
    ToolReturned,
)


class Phase(IdentityEnum):
    """Where a run stands between two events."""

    QUEUED = "queued"
    BETWEEN_STEPS = "between steps"
    ASKING_MODEL = "asking the model"
    RUNNING_TOOLS = "running tools"
    # Calls of an earlier run that waited have their answers, and get their returns.
    SETTLING_CALLS = "settling calls"
    ENDED = "ended"


TRANSITIONS: dict[tuple[Phase, type[RunEvent]], Phase] = {
    (Phase.QUEUED, RunStarted): Phase.BETWEEN_STEPS,
    # A run can be cancelled while it waits: then its end is all there is of it.
    (Phase.QUEUED, RunFinished): Phase.ENDED,
    (Phase.BETWEEN_STEPS, StepStarted): Phase.ASKING_MODEL,
    (Phase.BETWEEN_STEPS, ToolExecutionStarted): Phase.SETTLING_CALLS,
    (Phase.BETWEEN_STEPS, ToolReturned): Phase.SETTLING_CALLS,
    (Phase.BETWEEN_STEPS, ContextCompacted): Phase.BETWEEN_STEPS,
    # A turn that happened elsewhere is captured, or words follow the returns of calls that waited.
    (Phase.BETWEEN_STEPS, MessageCompleted): Phase.BETWEEN_STEPS,
    # Calls still wait after this run's answers, or after a completed step.
    (Phase.BETWEEN_STEPS, ApprovalRequested): Phase.BETWEEN_STEPS,
    (Phase.BETWEEN_STEPS, RunFinished): Phase.ENDED,
    (Phase.SETTLING_CALLS, ToolExecutionStarted): Phase.SETTLING_CALLS,
    (Phase.SETTLING_CALLS, ToolOutputDelta): Phase.SETTLING_CALLS,
    (Phase.SETTLING_CALLS, ChildRunStarted): Phase.SETTLING_CALLS,
    (Phase.SETTLING_CALLS, Custom): Phase.SETTLING_CALLS,
    (Phase.SETTLING_CALLS, ToolReturned): Phase.SETTLING_CALLS,
    (Phase.SETTLING_CALLS, MessageCompleted): Phase.BETWEEN_STEPS,
    (Phase.ASKING_MODEL, MessageStarted): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, TextDelta): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, ReasoningDelta): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, ToolCallDelta): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, MessageCompleted): Phase.RUNNING_TOOLS,
    # The model found the context too long: it is asked again with less.
    (Phase.ASKING_MODEL, ContextCompacted): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, StepRestarted): Phase.BETWEEN_STEPS,
    # The model may answer with nothing at all.
    (Phase.ASKING_MODEL, StepCompleted): Phase.BETWEEN_STEPS,
    (Phase.ASKING_MODEL, RunFinished): Phase.ENDED,
    (Phase.RUNNING_TOOLS, ToolExecutionStarted): Phase.RUNNING_TOOLS,
    (Phase.RUNNING_TOOLS, ToolOutputDelta): Phase.RUNNING_TOOLS,
    (Phase.RUNNING_TOOLS, ChildRunStarted): Phase.RUNNING_TOOLS,
    (Phase.RUNNING_TOOLS, Custom): Phase.RUNNING_TOOLS,
    (Phase.RUNNING_TOOLS, ToolReturned): Phase.RUNNING_TOOLS,
    (Phase.RUNNING_TOOLS, MessageCompleted): Phase.RUNNING_TOOLS,
    (Phase.RUNNING_TOOLS, StepCompleted): Phase.BETWEEN_STEPS,
    (Phase.RUNNING_TOOLS, RunFinished): Phase.ENDED,
}


class IllegalEvent(Exception):
    """An event came where the table has no row for it: a fault of the engine's."""


def advance(phase: Phase, event: RunEvent) -> Phase:
    """Return the phase after `event`; raise IllegalEvent where the table has no such row."""
    try:
        return TRANSITIONS[phase, type(event)]
    except KeyError:
        raise IllegalEvent(f"{type(event).__name__} cannot come while a run is {phase.value}") from None
