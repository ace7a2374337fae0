"""Agent files: an agent with all that is its own, to be kept or taken to another server."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from letta_grpc.domain.agents import Agent, Conversation
from letta_grpc.domain.history import LOST_RETURN, UNANSWERED_RETURN
from letta_grpc.domain.ids import (
    AgentId,
    MessageId,
    RunId,
    StepId,
    new_conversation_id,
    new_message_id,
    new_passage_id,
    new_run_id,
    new_step_id,
)
from letta_grpc.domain.messages import Message, Role, ToolReturn, ToolReturnStatus, returned_ids
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.runs import Run, RunKind, RunState, StopReason
from letta_grpc.domain.tools import Tool

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationFile:
    """A conversation. `context_ids` are the messages that the model is shown, a summary first; none means all of them."""

    conversation: Conversation
    messages: tuple[Message, ...] = ()
    context_ids: tuple[MessageId, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFile:
    """What an export gives. `tools` are those with Python source."""

    agent: Agent
    tools: tuple[Tool, ...] = ()
    conversations: tuple[ConversationFile, ...] = ()
    passages: tuple[Passage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedConversation:
    """A conversation to store with its messages, all brought by one run, which has ended.

    Where the context is compacted it begins with `summary`; then comes everything from `kept_from` on, None where there
    is nothing.
    """

    conversation: Conversation
    run: Run | None = None
    messages: tuple[Message, ...] = ()
    summary: MessageId | None = None
    kept_from: MessageId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What an import stores, all of it or nothing. `tools` are those that are not stored yet."""

    agent: Agent
    tools: tuple[Tool, ...] = ()
    conversations: tuple[ImportedConversation, ...] = ()
    passages: tuple[Passage, ...] = ()


def imported_conversation(file: ConversationFile, agent: Agent, now: datetime) -> ImportedConversation:
    """Return a conversation with ids of its own. Ids of tool calls stay: returns and decisions name them."""
    given = file.conversation
    conversation = replace(given, id=new_conversation_id(), agent_id=agent.id, create_time=now, update_time=now)
    if not file.messages:
        return ImportedConversation(conversation=conversation)
    run = _bringing_run(conversation, agent, now)
    given_messages = tuple(_with_returns(file.messages))
    ids = {message.id: new_message_id() for message in given_messages}
    steps = {message.step_id: new_step_id() for message in given_messages if message.step_id}
    messages = tuple(_renewed(message, ids[message.id], run.id, steps) for message in given_messages)
    summary, kept_from = ([ids[message_id] for message_id in file.context_ids[:2]] + [None, None])[:2]
    return ImportedConversation(conversation=conversation, run=run, messages=messages, summary=summary, kept_from=kept_from)


def _with_returns(messages: Sequence[Message]) -> Iterator[Message]:
    """Yield the messages with a return for every call: calls that waited or ran when the file was written do neither here."""
    returned = returned_ids(messages)
    for message in messages:
        yield message
        if open_calls := [call for call in message.tool_calls if call.id not in returned]:
            text = UNANSWERED_RETURN if message.role is Role.APPROVAL else LOST_RETURN
            yield Message(
                id=new_message_id(),
                role=Role.TOOL,
                tool_returns=tuple(
                    ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text=text) for call in open_calls
                ),
                name=open_calls[0].name,
                run_id=message.run_id,
                step_id=message.step_id,
                create_time=message.create_time,
            )


def _renewed(message: Message, id_: MessageId, run_id: RunId, steps: dict[StepId, StepId]) -> Message:
    return replace(message, id=id_, run_id=run_id, step_id=steps[message.step_id] if message.step_id else None)


def _bringing_run(conversation: Conversation, agent: Agent, now: datetime) -> Run:
    run_id = new_run_id()
    return Run(
        id=run_id,
        agent_id=agent.id,
        conversation_id=conversation.id,
        request_id=run_id.removeprefix("run-"),
        kind=RunKind.CAPTURE,
        model=conversation.model or agent.model,
        state=RunState.COMPLETED,
        stop_reason=StopReason.END_TURN,
        create_time=now,
        start_time=now,
        end_time=now,
        # Not a turn: nothing is due after it.
        background=True,
    )


def new_passages(passages: Iterable[Passage], agent_id: AgentId) -> tuple[Passage, ...]:
    """Return the notes as those of another agent, with new ids."""
    return tuple(replace(passage, id=new_passage_id(), agent_id=agent_id) for passage in passages)
