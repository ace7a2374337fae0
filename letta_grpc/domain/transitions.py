"""What may follow what in a run.

Rule: every event of a run is a row of TRANSITIONS; nothing else compares phases.
"""

from enum import Enum

from letta_grpc.domain.events import (
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
    ToolReturned,
)


class Phase(Enum):
    """Where a run stands between two events."""

    QUEUED = "queued"
    BETWEEN_STEPS = "between steps"
    ASKING_MODEL = "asking the model"
    RUNNING_TOOLS = "running tools"
    ENDED = "ended"


TRANSITIONS: dict[tuple[Phase, type[RunEvent]], Phase] = {
    (Phase.QUEUED, RunStarted): Phase.BETWEEN_STEPS,
    # A run can be cancelled while it waits: then its end is all there is of it.
    (Phase.QUEUED, RunFinished): Phase.ENDED,
    (Phase.BETWEEN_STEPS, StepStarted): Phase.ASKING_MODEL,
    (Phase.BETWEEN_STEPS, RunFinished): Phase.ENDED,
    (Phase.ASKING_MODEL, MessageStarted): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, TextDelta): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, ReasoningDelta): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, ToolCallDelta): Phase.ASKING_MODEL,
    (Phase.ASKING_MODEL, MessageCompleted): Phase.RUNNING_TOOLS,
    (Phase.ASKING_MODEL, StepRestarted): Phase.BETWEEN_STEPS,
    # The model may answer with nothing at all.
    (Phase.ASKING_MODEL, StepCompleted): Phase.BETWEEN_STEPS,
    (Phase.ASKING_MODEL, RunFinished): Phase.ENDED,
    (Phase.RUNNING_TOOLS, ToolExecutionStarted): Phase.RUNNING_TOOLS,
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
