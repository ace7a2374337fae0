"""Which messages of agents are listed, and which are searched for."""

from dataclasses import dataclass

from letta_grpc.domain.ids import WILDCARD, AgentId, ConversationId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.ports.search import MessageQuery
from letta_grpc.transport.convert.archive import MAX_QUERY_CHARACTERS, result_limit
from letta_grpc.transport.convert.conversations import optional_conversation
from letta_grpc.transport.convert.enums import ROLES
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.times import checked_timestamp
from letta_grpc.v1 import agent_service_pb2 as pb


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageList:
    """A part of an agent's messages: of all its conversations, or of one, None for the default one."""

    agent_id: AgentId
    of_all: bool
    conversation_id: ConversationId | None
    page: PageRequest


def message_list_from_pb(request: pb.ListMessagesRequest) -> MessageList:
    """Return which messages to list."""
    of_all = request.conversation_id == WILDCARD
    with Rules() as rules:
        return MessageList(
            agent_id=AgentId(rules.id("agent_id", "agent", request.agent_id)),
            of_all=of_all,
            conversation_id=None if of_all else optional_conversation(rules, "conversation_id", request.conversation_id),
            page=page_from_pb(rules, request, request.after_id),
        )


def message_search_from_pb(request: pb.SearchMessagesRequest) -> tuple[MessageQuery, bool]:
    """Return what to search for, and whether in the agent's default conversation alone."""
    in_all = request.agent_id == WILDCARD
    with Rules() as rules:
        if in_all and request.conversation_id:
            rules.broken("conversation_id", "must be empty where all agents are searched")
        time_from = checked_timestamp(rules, "create_time_from", request.create_time_from)
        time_before = checked_timestamp(rules, "create_time_before", request.create_time_before)
        query = MessageQuery(
            agent_id=None if in_all else AgentId(rules.id("agent_id", "agent", request.agent_id)),
            text=rules.text("query", request.query, MAX_QUERY_CHARACTERS),
            conversation_id=optional_conversation(rules, "conversation_id", request.conversation_id),
            roles=ROLES.checked_all(rules, "roles", request.roles),
            create_time_from=time_from if request.HasField("create_time_from") else None,
            create_time_before=time_before if request.HasField("create_time_before") else None,
            limit=result_limit(rules, request.limit),
        )
    return query, bool(request.conversation_id) and query.conversation_id is None
