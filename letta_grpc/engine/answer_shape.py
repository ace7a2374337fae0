"""Answers of a shape that the caller asked for: the model may repair one that has another, twice; then the run fails."""

from letta_grpc.domain.agents import Agent, AgentKind
from letta_grpc.domain.errors import InvalidModelOutput, InvalidRequest
from letta_grpc.domain.ids import StepId
from letta_grpc.domain.runs import RunSpec
from letta_grpc.engine.ends import RunEnd, failed
from letta_grpc.engine.record import RunRecord
from letta_grpc.ports.shapes import Shapes

_PATH = "run.response_format"


class AnswerShape:
    """Checks what `response_format` says, and answers against it."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    async def check_schema(self, spec: RunSpec) -> None:
        """Raise InvalidRequest for a schema that no answer could be checked against."""
        if spec.response_format is not None and (fault := await self._shapes.fault_of_schema(spec.response_format)):
            raise InvalidRequest(fields={_PATH: f"is not a usable JSON Schema: {fault}"})

    async def fault(self, record: RunRecord, answer: str) -> str | None:
        """Return why an answer does not have the shape that its run asked for, in words for the model; None if it has."""
        schema = record.spec.response_format
        return None if schema is None else await self._shapes.fault_of_answer(schema, answer)


def check_speech(agent: Agent, spec: RunSpec) -> None:
    """Raise InvalidRequest if a run asks for a shape of an agent that does not answer in plain words."""
    if spec.response_format is not None and agent.kind is not AgentKind.REACT:
        raise InvalidRequest(fields={_PATH: "is for agents that answer in plain words; this one speaks by tools alone"})


def repair(record: RunRecord, step_id: StepId, fault: str) -> RunEnd | None:
    """Tell the model what is wrong and let the run go on, or return its end after too many attempts."""
    if not record.begin_repair():
        return failed(InvalidModelOutput(f"The answer does not have the shape that was asked for: {fault}"))
    record.add_word(
        f"Your answer does not have the shape that was asked for: {fault}\n"
        f"Answer again, with nothing but JSON that fits this JSON Schema:\n{record.spec.response_format}",
        step_id,
    )
    return None
