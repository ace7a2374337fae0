"""What the model would be shown of a conversation."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.ids import is_id
from letta_grpc.gateway.faces.letta.open_runs import waiting_runs
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.targets import Target, conversation_id_of
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


async def ids_in_context(ask: Ask, target: Target, messages: Sequence[messages_pb2.Message]) -> list[str]:
    """Return the ids of what is in a conversation's context, and last what waits for answers. Raises Failure.

    Letta Code looks at the last one alone to see whether calls wait. A model would be shown these as part of what was said
    before them, with a return for each that is stored nowhere.
    """
    ids = [message.id for message in messages if is_id("message", message.id)]
    if not messages or messages[-1].role != messages_pb2.ROLE_TOOL:
        return ids
    runs = await waiting_runs(ask, target.agent_id, await conversation_id_of(ask, target))
    waiting = dict.fromkeys(action.message_id for run in runs for action in run.pending_actions)
    return [*(id_ for id_ in ids if id_ not in waiting), *waiting]


async def prompt_of(ask: Ask, target: Target) -> str:
    """Return the system prompt of a conversation. Raises Failure."""
    request = pb.GetContextRequest(agent_id=target.agent_id, conversation_id=target.conversation_id)
    # Beside all messages it might not fit into an answer.
    request.read_mask.paths.append("system")
    return (await ask.call(ask.services.agents.GetContext, request)).context.system
