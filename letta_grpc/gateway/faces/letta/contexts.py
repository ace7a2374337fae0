"""What the model would be shown of a conversation."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.targets import Target
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import messages_pb2


async def messages_in_context(ask: Ask, target: Target) -> Sequence[messages_pb2.Message] | None:
    """Return the messages in a conversation's context; None where their pictures exceed an answer. Raises Failure."""
    request = pb.GetContextRequest(agent_id=target.agent_id, conversation_id=target.conversation_id)
    try:
        return (await ask.call(ask.services.agents.GetContext, request)).context.messages
    except Failure as failure:
        if failure.reason != "MESSAGE_TOO_LARGE":
            raise
        return None


async def prompt_of(ask: Ask, target: Target) -> str:
    """Return the system prompt of a conversation. Raises Failure."""
    request = pb.GetContextRequest(agent_id=target.agent_id, conversation_id=target.conversation_id)
    # Beside all messages it might not fit into an answer.
    request.read_mask.paths.append("system")
    return (await ask.call(ask.services.agents.GetContext, request)).context.system
