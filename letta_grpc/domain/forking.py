"""Copying a conversation into a new one.

Rule: the copy is whole. What the source still waits for, or is at work on, has no place in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import (
    MessageId,
    RunId,
    StepId,
    new_conversation_id,
    new_message_id,
    new_run_id,
    previous_message_id,
)
from letta_grpc.domain.messages import Message, Role, returned_ids
from letta_grpc.domain.runs import Run, RunKind, RunState, StopReason
from letta_grpc.domain.waiting import EndedRun

_SPOKEN = frozenset({Role.USER, Role.SYSTEM, Role.ASSISTANT})


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeConversation:
    """All that is stored of a conversation: its messages in order, and which of them its context begins with.

    `summary_id`: the summary that stands in the context, None where nothing was compacted. `kept_from`: the first older
    message that stays behind it, None if none does.
    """

    conversation: Conversation
    messages: tuple[Message, ...] = ()
    summary_id: MessageId | None = None
    kept_from: MessageId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A new conversation, and the run that its messages belong to, which is over at once."""

    copy: WholeConversation
    ended: EndedRun


def forked(source: WholeConversation, *, model: str, time: datetime, title: str = "", up_to: MessageId | None = None) -> Fork:
    """Return the copy of a conversation, up to a message. Raises InvalidRequest for one that the conversation has not.

    `model` is what runs of the conversation ask where they name none.
    """
    original = source.conversation
    conversation = replace(
        original, id=new_conversation_id(), title=title or original.title, is_default=False, create_time=time, update_time=time
    )
    run = _run(conversation, model, time)
    copy = _copy(source, _without_unfinished_step(_up_to(source.messages, up_to)), conversation, run.id)
    return Fork(copy=copy, ended=EndedRun.of(run, state=RunState.COMPLETED, stop_reason=StopReason.END_TURN))


def _run(conversation: Conversation, model: str, time: datetime) -> Run:
    run_id = new_run_id()
    return Run(
        id=run_id,
        agent_id=conversation.agent_id,
        conversation_id=conversation.id,
        request_id=run_id.removeprefix("run-"),
        kind=RunKind.FORK,
        model=model,
        state=RunState.RUNNING,
        create_time=time,
        start_time=time,
    )


def _up_to(messages: Sequence[Message], last: MessageId | None) -> Sequence[Message]:
    if last is None:
        return messages
    ids = [message.id for message in messages]
    if last not in ids:
        raise InvalidRequest(fields={"up_to_message_id": "the conversation has no such message"})
    return messages[: ids.index(last) + 1]


def _without_unfinished_step(messages: Sequence[Message]) -> Sequence[Message]:
    """Leave out the last step that called tools, if one of them has not returned: nobody would ever answer in the copy."""
    calling = next((message for message in reversed(messages) if message.tool_calls), None)
    if calling is None:
        return messages
    step = [message for message in messages if message.tool_calls and _same_step(message, calling)]
    called = {call.id for message in step for call in message.tool_calls}
    if called <= returned_ids(messages):
        return messages
    begin = next(index for index, message in enumerate(messages) if _same_step(message, calling))
    spoken = any(message.role in _SPOKEN and not _same_step(message, calling) for message in messages[begin:])
    # A conversation that went on in spite of it is repaired where it is shown to a model, like any other.
    return messages if spoken else messages[:begin]


def _same_step(message: Message, calling: Message) -> bool:
    return message is calling or (message.step_id is not None and message.step_id == calling.step_id)


def _copy(
    source: WholeConversation, messages: Sequence[Message], conversation: Conversation, run_id: RunId
) -> WholeConversation:
    """Return the messages as those of another conversation, with the context that they had, or, before that, all of them.

    Of the summaries only the one in the context is copied: what the others stood for is there itself.
    """
    kept = {message.id for message in messages}
    is_compacted = source.summary_id in kept
    ids: dict[MessageId, MessageId] = {}
    of_steps: dict[StepId, MessageId] = {}
    copies = []
    for message in messages:
        if message.role is Role.SUMMARY and message.id != source.summary_id:
            continue
        ids[message.id] = fresh = _fresh_id(message, of_steps)
        copies.append(replace(message, id=fresh, run_id=run_id))
    return WholeConversation(
        conversation=conversation,
        messages=tuple(copies),
        summary_id=ids[source.summary_id] if source.summary_id and is_compacted else None,
        kept_from=ids[source.kept_from] if source.kept_from and is_compacted else None,
    )


def _fresh_id(message: Message, of_steps: dict[StepId, MessageId]) -> MessageId:
    """Return the copy's id: calls that needed an answer stand one below their step's text, as everywhere."""
    if message.step_id and message.role is Role.APPROVAL and message.step_id in of_steps:
        return previous_message_id(of_steps[message.step_id])
    fresh = new_message_id()
    if message.step_id and message.role is Role.ASSISTANT:
        of_steps[message.step_id] = fresh
    return fresh
