"""`client.conversations`: the calls of ConversationService, as methods."""

from collections.abc import AsyncGenerator, Mapping

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.requests import change, compaction_mode
from letta_grpc.client.values import RequestId, request_id_of, texts
from letta_grpc.v1 import conversation_service_pb2, conversation_service_pb2_grpc, conversations_pb2, runs_pb2


class Conversations:
    """`client.conversations`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = conversation_service_pb2_grpc.ConversationServiceStub(connection.channel)

    async def create(
        self,
        agent_id: str,
        *,
        title: str | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> conversations_pb2.Conversation:
        """Open another thread of an agent; return it as stored."""
        request = conversation_service_pb2.CreateConversationRequest(
            agent_id=agent_id,
            conversation=conversations_pb2.Conversation(title=title or "", model=model or "", metadata=texts(metadata)),
        )
        return (await self._connection.change(self._stub.CreateConversation, request)).conversation

    async def get(self, conversation_id: str) -> conversations_pb2.Conversation:
        """Return a conversation."""
        request = conversation_service_pb2.GetConversationRequest(conversation_id=conversation_id)
        return (await self._connection.ask(self._stub.GetConversation, request)).conversation

    def list(
        self, agent_id: str, *, after_id: str | None = None, page_size: int | None = None, descending: bool = False
    ) -> AsyncGenerator[conversations_pb2.Conversation, None]:
        """Iterate over an agent's conversations, oldest first unless `descending`, over all pages.

        `after_id`: only what comes behind that conversation in this order.
        """
        request = conversation_service_pb2.ListConversationsRequest(
            agent_id=agent_id, after_id=after_id or "", page_size=page_size or 0, descending=descending
        )
        return self._connection.pages(self._stub.ListConversations, request, lambda page: page.conversations)

    async def update(
        self,
        conversation_id: str,
        *,
        title: str | None = None,
        model: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> conversations_pb2.Conversation:
        """Change what is given and leave the rest."""
        conversation, mask = change(
            conversations_pb2.Conversation(), {"title": title, "model": model, "metadata": texts(metadata)}
        )
        request = conversation_service_pb2.UpdateConversationRequest(
            conversation_id=conversation_id, conversation=conversation, update_mask=mask
        )
        return (await self._connection.ask(self._stub.UpdateConversation, request)).conversation

    async def delete(self, conversation_id: str) -> None:
        """Remove a conversation with its messages and runs."""
        request = conversation_service_pb2.DeleteConversationRequest(conversation_id=conversation_id)
        await self._connection.change(self._stub.DeleteConversation, request)

    async def fork(
        self, conversation_id: str, *, title: str | None = None, up_to_message_id: str | None = None
    ) -> conversations_pb2.Conversation:
        """Copy a conversation into a new one, whole or up to a message; return the new one."""
        request = conversation_service_pb2.ForkConversationRequest(
            conversation_id=conversation_id, title=title or "", up_to_message_id=up_to_message_id or ""
        )
        return (await self._connection.change(self._stub.ForkConversation, request)).conversation

    async def compact(
        self,
        conversation_id: str,
        *,
        everything: bool = False,
        request_id: RequestId | None = None,
    ) -> runs_pb2.Run:
        """Replace older messages of the context, or `everything`, by a summary; return the run that does it."""
        request = conversation_service_pb2.CompactConversationRequest(
            conversation_id=conversation_id,
            request_id=request_id_of(request_id),
            mode=compaction_mode(everything=everything),
        )
        return (await self._connection.ask(self._stub.CompactConversation, request)).run
