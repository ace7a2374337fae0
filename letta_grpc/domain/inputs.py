"""The input of a run: what it becomes in the conversation, and what an answer takes over from the run that waits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from letta_grpc.domain.approvals import answers_in
from letta_grpc.domain.errors import ApprovalAlreadyResolved
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import ApprovalInput, InputMessage, Message, ReturnsInput, Role, SpokenInput, words_in
from letta_grpc.domain.runs import Run, RunSpec


def is_answer(messages: Sequence[InputMessage]) -> bool:
    """Say whether an input answers waiting calls. Words may follow the answers then."""
    return any(isinstance(message, ApprovalInput | ReturnsInput) for message in messages)


def entering(spec: RunSpec) -> tuple[InputMessage, ...]:
    """Return the input that enters the conversation as the run starts.

    The assistant's messages of a CAPTURE enter later, and words behind answers enter once the calls have their returns.
    """
    if is_answer(spec.messages):
        return tuple(message for message in spec.messages if not isinstance(message, SpokenInput))
    return tuple(message for message in spec.messages if not _is_assistants(message))


def words_behind_answers(spec: RunSpec) -> tuple[SpokenInput, ...]:
    """Return the words that follow answers."""
    return words_in(spec.messages) if is_answer(spec.messages) else ()


def check_said_before(messages: Sequence[InputMessage], run_id: RunId, spec: RunSpec) -> None:
    """Raise ApprovalAlreadyResolved if the run that brought these answers before was not told the words behind them."""
    words = words_in(messages)
    if words and words != words_behind_answers(spec):
        raise ApprovalAlreadyResolved(tool_call_id=next(iter(answers_in(messages))), run_id=run_id)


def captured(run: Run, spec: RunSpec, new_id: Callable[[], MessageId], time: datetime) -> Iterator[Message]:
    """Yield the assistant's messages that a CAPTURE puts into the conversation."""
    for given in spec.messages:
        if _is_assistants(given):
            yield replace(_stored(run, new_id(), given), model=spec.model, create_time=time)


def _is_assistants(message: InputMessage) -> bool:
    return isinstance(message, SpokenInput) and message.role is Role.ASSISTANT


def input_messages(run: Run, spec: RunSpec) -> Iterator[Message]:
    """Yield the messages that a run's input becomes once the run starts."""
    entered = entering(spec)
    # The ids of what comes later stand behind them.
    for message_id, given in zip(run.input_message_ids[: len(entered)], entered, strict=True):
        yield _stored(run, message_id, given)


def messages_behind_answers(run: Run, spec: RunSpec, time: datetime) -> Iterator[Message]:
    """Yield the messages that words behind answers become once the calls have their returns."""
    message_ids = run.input_message_ids[len(entering(spec)) :]
    for message_id, given in zip(message_ids, words_behind_answers(spec), strict=True):
        yield replace(_stored(run, message_id, given), create_time=time)


def _stored(run: Run, message_id: MessageId, given: InputMessage) -> Message:
    spoken = given if isinstance(given, SpokenInput) else None
    return Message(
        id=message_id,
        role=spoken.role if spoken else Role.APPROVAL,
        content=spoken.content if spoken else (),
        decisions=given.decisions if isinstance(given, ApprovalInput) else (),
        tool_returns=given.tool_returns if isinstance(given, ReturnsInput) else (),
        otid=given.otid,
        run_id=run.id,
        create_time=run.start_time or run.create_time,
    )


def completed(spec: RunSpec, resumed: RunSpec) -> RunSpec:
    """Return the spec of an answer, completed from the spec of the run that waits."""
    return replace(
        spec,
        client_tools=spec.client_tools or resumed.client_tools,
        model=spec.model or resumed.model,
        system=spec.system or resumed.system,
        response_format=spec.response_format or resumed.response_format,
    )
