"""An agent as a file of ours, and the conversation of it that is asked for."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.contexts import messages_in_context
from letta_grpc.gateway.faces.letta.errors import not_found
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import all_of, fetch_of
from letta_grpc.gateway.faces.letta.targets import Target, agent_in
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import agent_files_pb2, archive_service_pb2, messages_pb2, passages_pb2
from letta_grpc.v1 import agent_service_pb2 as pb


async def exported(ask: Ask) -> tuple[agent_files_pb2.AgentFile, agent_files_pb2.ConversationFile]:
    """Return the agent that a path names, and the conversation that its query names. Raises Failure."""
    request = pb.ExportAgentRequest(agent_id=agent_in(ask).agent_id, omit_messages=bool(ask.flag("scrub_messages")))
    try:
        file = (await ask.call(ask.services.agents.ExportAgent, request)).file
    except Failure as failure:
        if failure.reason != "MESSAGE_TOO_LARGE":
            raise
        return await _in_pages(ask, request.agent_id, omit_messages=request.omit_messages)
    return file, _conversation(ask, file)


async def _in_pages(
    ask: Ask, agent_id: str, *, omit_messages: bool
) -> tuple[agent_files_pb2.AgentFile, agent_files_pb2.ConversationFile]:
    """Return the same of what exceeds an answer. Other conversations are empty."""
    request = pb.ExportAgentRequest(agent_id=agent_id, omit_messages=True, omit_passages=True)
    file = (await ask.call(ask.services.agents.ExportAgent, request)).file
    shown = _conversation(ask, file)
    file.passages.extend(await _passages(ask, agent_id))
    if not omit_messages:
        target = Target(agent_id=agent_id, conversation_id=shown.conversation.id)
        # Ahead of the list: what enters the context meanwhile would not be in it. Too large a context is told as all of it.
        context = await messages_in_context(ask, target) or ()
        shown.messages.extend(await _messages(ask, target))
        ids = {message.id for message in shown.messages}
        shown.context_message_ids.extend(message.id for message in context if message.id in ids)
    return file, shown


def _conversation(ask: Ask, file: agent_files_pb2.AgentFile) -> agent_files_pb2.ConversationFile:
    wanted = ask.query("conversation_id")
    if wanted in (None, "default"):
        return next(each for each in file.conversations if each.conversation.is_default)
    for each in file.conversations:
        if each.conversation.id == checked_id("conv", wanted, "query"):
            return each
    raise not_found("The agent has no such conversation.")


async def _passages(ask: Ask, agent_id: str) -> Sequence[passages_pb2.Passage]:
    fetch = fetch_of(ask, ask.services.archives.ListPassages, lambda page: page.passages)
    return await all_of(archive_service_pb2.ListPassagesRequest(agent_id=agent_id), fetch)


async def _messages(ask: Ask, target: Target) -> Sequence[messages_pb2.Message]:
    request = pb.ListMessagesRequest(agent_id=target.agent_id, conversation_id=target.conversation_id)
    return await all_of(request, fetch_of(ask, ask.services.agents.ListMessages, lambda page: page.messages))
