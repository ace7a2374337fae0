"""ConversationService."""

# ruff: noqa: N802 - methods are named as the contract names them

from letta_grpc.engine.conversations import Conversations
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.starts import StartRequest
from letta_grpc.transport.convert.compactions import compaction_from_pb
from letta_grpc.transport.convert.conversations import (
    conversation_id_from_pb,
    conversation_to_pb,
    conversation_update_from_pb,
    conversations_query_from_pb,
    fork_from_pb,
    new_conversation_from_pb,
)
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.convert.runs import run_to_pb
from letta_grpc.transport.methods import Call
from letta_grpc.transport.rpc.pages import fitting
from letta_grpc.v1 import conversation_service_pb2 as pb


class ConversationServicer:
    """Keeps an agent's threads."""

    def __init__(self, conversations: Conversations, runs: Runs) -> None:
        self._conversations = conversations
        self._runs = runs

    async def CreateConversation(self, request: pb.CreateConversationRequest, _call: Call) -> pb.CreateConversationResponse:
        """Open a thread."""
        new = new_conversation_from_pb(request)
        made = await self._conversations.create(new.agent_id, title=new.title, model=new.model, metadata=new.metadata)
        return pb.CreateConversationResponse(conversation=conversation_to_pb(made))

    async def GetConversation(self, request: pb.GetConversationRequest, _call: Call) -> pb.GetConversationResponse:
        """Return a thread."""
        found = await self._conversations.get(conversation_id_from_pb(request))
        return pb.GetConversationResponse(conversation=conversation_to_pb(found))

    async def ListConversations(self, request: pb.ListConversationsRequest, _call: Call) -> pb.ListConversationsResponse:
        """Return a page of threads."""
        agent_id, page = conversations_query_from_pb(request)
        found = await fitting(page, lambda part: self._conversations.list(agent_id, part), conversation_to_pb)
        return pb.ListConversationsResponse(conversations=found.items, next_page_token=token_of(found.next))

    async def UpdateConversation(self, request: pb.UpdateConversationRequest, _call: Call) -> pb.UpdateConversationResponse:
        """Change a thread."""
        conversation_id, changes = conversation_update_from_pb(request)
        changed = await self._conversations.update(conversation_id, changes)
        return pb.UpdateConversationResponse(conversation=conversation_to_pb(changed))

    async def DeleteConversation(self, request: pb.DeleteConversationRequest, _call: Call) -> pb.DeleteConversationResponse:
        """Remove a thread."""
        await self._conversations.delete(conversation_id_from_pb(request))
        return pb.DeleteConversationResponse()

    async def ForkConversation(self, request: pb.ForkConversationRequest, _call: Call) -> pb.ForkConversationResponse:
        """Copy a thread."""
        fork = fork_from_pb(request)
        made = await self._conversations.fork(fork.conversation_id, title=fork.title, up_to=fork.up_to)
        return pb.ForkConversationResponse(conversation=conversation_to_pb(made))

    async def CompactConversation(self, request: pb.CompactConversationRequest, call: Call) -> pb.CompactConversationResponse:
        """Start a run that compacts a thread."""
        conversation_id, request_id, spec = compaction_from_pb(request)
        conversation = await self._conversations.get(conversation_id)
        start = StartRequest(
            agent_id=conversation.agent_id,
            conversation_id=conversation_id,
            request_id=request_id,
            spec=spec,
            traceparent=call.traceparent,
        )
        return pb.CompactConversationResponse(run=run_to_pb(await self._runs.start(start)))
