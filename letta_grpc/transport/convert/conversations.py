"""Conversations."""

from collections.abc import Mapping
from dataclasses import dataclass

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.ids import DEFAULT_CONVERSATION, AgentId, ConversationId, MessageId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.transport.convert.masks import changes_from_mask
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.times import timestamp_to_pb
from letta_grpc.v1 import conversation_service_pb2 as service_pb
from letta_grpc.v1 import conversations_pb2 as pb

_MAX_TITLE = 256
_MAX_MODEL = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConversation:
    """What a conversation is made from."""

    agent_id: AgentId
    title: str
    model: str
    metadata: Mapping[str, str]


def conversation_to_pb(conversation: Conversation) -> pb.Conversation:
    """Return a conversation."""
    return pb.Conversation(
        id=conversation.id,
        agent_id=conversation.agent_id,
        title=conversation.title,
        is_default=conversation.is_default,
        model=conversation.model,
        metadata=conversation.metadata,
        create_time=timestamp_to_pb(conversation.create_time),
        update_time=timestamp_to_pb(conversation.update_time),
    )


def optional_conversation(rules: Rules, path: str, text: str) -> ConversationId | None:
    """Return which conversation is meant; None for an agent's default one."""
    if text in {"", DEFAULT_CONVERSATION}:
        return None
    return ConversationId(rules.id(path, "conv", text))


def new_conversation_from_pb(request: service_pb.CreateConversationRequest) -> NewConversation:
    """Return the conversation to make."""
    wanted = request.conversation
    with Rules() as rules:
        return NewConversation(
            agent_id=AgentId(rules.id("agent_id", "agent", request.agent_id)),
            title=rules.text("conversation.title", wanted.title, _MAX_TITLE),
            model=rules.text("conversation.model", wanted.model, _MAX_MODEL),
            metadata=rules.metadata("conversation.metadata", wanted.metadata),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFork:
    """What to copy of a conversation."""

    conversation_id: ConversationId
    title: str
    up_to: MessageId | None


def fork_from_pb(request: service_pb.ForkConversationRequest) -> NewFork:
    """Return what to copy."""
    last = request.up_to_message_id
    with Rules() as rules:
        return NewFork(
            conversation_id=ConversationId(rules.id("conversation_id", "conv", request.conversation_id)),
            title=rules.text("title", request.title, _MAX_TITLE),
            up_to=MessageId(last) if last else None,
        )


def conversation_id_from_pb(
    request: service_pb.GetConversationRequest | service_pb.DeleteConversationRequest,
) -> ConversationId:
    """Return which conversation is meant."""
    with Rules() as rules:
        conversation_id = rules.id("conversation_id", "conv", request.conversation_id)
    return ConversationId(conversation_id)


def conversations_query_from_pb(request: service_pb.ListConversationsRequest) -> tuple[AgentId, PageRequest]:
    """Return whose conversations to list."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        page = page_from_pb(rules, request, request.after_id)
    return AgentId(agent_id), page


def conversation_update_from_pb(
    request: service_pb.UpdateConversationRequest,
) -> tuple[ConversationId, dict[str, object]]:
    """Return which conversation to change, and how."""
    wanted = request.conversation
    with Rules() as rules:
        conversation_id = rules.id("conversation_id", "conv", request.conversation_id)
        changes = changes_from_mask(
            rules,
            request.update_mask,
            {
                "title": lambda: rules.text("conversation.title", wanted.title, _MAX_TITLE),
                "model": lambda: rules.text("conversation.model", wanted.model, _MAX_MODEL),
                "metadata": lambda: rules.metadata("conversation.metadata", wanted.metadata),
            },
        )
    return ConversationId(conversation_id), changes
