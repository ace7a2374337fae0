"""Which conversation a path means: `conv-…`, `default` beside an agent's id, or the agent's id itself."""

from dataclasses import dataclass

from letta_grpc.gateway.faces.letta.errors import Place, unprocessable
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.v1 import conversation_service_pb2, conversations_pb2

DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a run is to start. The conversation is empty where the agent's default one is meant."""

    agent_id: str
    conversation_id: str = ""

    @property
    def key(self) -> str:
        """The conversation's name among all."""
        return self.conversation_id or self.agent_id


async def conversation_id_of(ask: Ask, target: Target) -> str:
    """Return the conversation's id, also that of the default one. Raises Failure."""
    return target.conversation_id or await default_conversation(ask, target.agent_id)


async def default_conversation(ask: Ask, agent_id: str) -> str:
    """Return the id of an agent's default conversation: it is the oldest. Raises Failure."""
    request = conversation_service_pb2.ListConversationsRequest(agent_id=agent_id, page_size=1)
    found = (await ask.call(ask.services.conversations.ListConversations, request)).conversations
    return found[0].id if found else DEFAULT


def agent_in(ask: Ask) -> Target:
    """Return an agent's default conversation, from the agent's path. Raises Failure."""
    return Target(agent_id=ask.path_id("agent"))


def agent_named(ask: Ask, rule: str = "is needed") -> str:
    """Return the id of the agent that a body or a query names. Raises Failure; the rule says why there must be one."""
    said, asked = ask.body.get("agent_id"), ask.query("agent_id")
    place: Place = "query" if not said and (asked or ask.request.method == "GET") else "body"
    if not (said or asked):
        raise unprocessable("agent_id", rule, place)
    return checked_id("agent", str(said or asked), place)


async def conversation_in(ask: Ask) -> Target:
    """Return the conversation of a path. Raises Failure."""
    name = ask.path("conversation_id")
    if name.startswith("agent-"):
        return Target(agent_id=checked_id("agent", name, field="conversation_id"))
    if name == DEFAULT:
        return Target(agent_id=agent_named(ask, "is needed where the conversation is `default`"))
    return target_of(await conversation_named(ask, name))


async def conversation_named(ask: Ask, conversation_id: str) -> conversations_pb2.Conversation:
    """Return a conversation by its id. Raises Failure."""
    request = conversation_service_pb2.GetConversationRequest(conversation_id=checked_id("conv", conversation_id))
    return (await ask.call(ask.services.conversations.GetConversation, request)).conversation


def target_of(conversation: conversations_pb2.Conversation) -> Target:
    """Return where runs of a conversation start."""
    return Target(agent_id=conversation.agent_id, conversation_id="" if conversation.is_default else conversation.id)
