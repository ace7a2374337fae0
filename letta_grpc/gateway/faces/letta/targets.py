"""Which conversation a path means: `conv-…`, `default` beside an agent's id, or the agent's id itself."""

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.starts import DEFAULT, Target
from letta_grpc.v1 import conversation_service_pb2, conversations_pb2


def agent_in(ask: Ask) -> Target:
    """Return an agent's default conversation, from the agent's path. Raises Failure."""
    return Target(agent_id=checked_id("agent", ask.path("agent_id")))


async def conversation_in(ask: Ask) -> Target:
    """Return the conversation of a path. Raises Failure."""
    name = ask.path("conversation_id")
    if name.startswith("agent-"):
        return Target(agent_id=checked_id("agent", name))
    if name == DEFAULT:
        agent_id = ask.body.get("agent_id") or ask.query("agent_id")
        if not agent_id:
            raise unprocessable("agent_id", "is needed where the conversation is `default`")
        return Target(agent_id=checked_id("agent", str(agent_id)))
    return target_of(await conversation_named(ask, name))


async def conversation_named(ask: Ask, conversation_id: str) -> conversations_pb2.Conversation:
    """Return a conversation by its id. Raises Failure."""
    request = conversation_service_pb2.GetConversationRequest(conversation_id=checked_id("conv", conversation_id))
    return (await ask.call(ask.services.conversations.GetConversation, request)).conversation


def target_of(conversation: conversations_pb2.Conversation) -> Target:
    """Return where runs of a conversation start."""
    return Target(agent_id=conversation.agent_id, conversation_id="" if conversation.is_default else conversation.id)
