"""`client.archive`: the calls of ArchiveService, as methods."""

from collections.abc import AsyncGenerator, Sequence

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.requests import SearchMode, change, search_mode
from letta_grpc.client.values import names_of
from letta_grpc.v1 import archive_service_pb2, archive_service_pb2_grpc, passages_pb2


class Archive:
    """`client.archive`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = archive_service_pb2_grpc.ArchiveServiceStub(connection.channel)

    async def create(self, agent_id: str, text: str, *, tags: Sequence[str] = ()) -> passages_pb2.Passage:
        """Add a note to an agent's archive; return it as stored."""
        passage = passages_pb2.Passage(text=text, tags=names_of("tags", tags))
        request = archive_service_pb2.CreatePassageRequest(agent_id=agent_id, passage=passage)
        return (await self._connection.change(self._stub.CreatePassage, request)).passage

    async def get(self, agent_id: str, passage_id: str) -> passages_pb2.Passage:
        """Return a note."""
        request = archive_service_pb2.GetPassageRequest(agent_id=agent_id, passage_id=passage_id)
        return (await self._connection.ask(self._stub.GetPassage, request)).passage

    def list(
        self,
        agent_id: str,
        *,
        tags: Sequence[str] = (),
        after_id: str | None = None,
        page_size: int | None = None,
        descending: bool = False,
    ) -> AsyncGenerator[passages_pb2.Passage, None]:
        """Iterate over notes that have all of these tags, oldest first unless `descending`, over all pages.

        `after_id`: only what comes behind that note in this order.
        """
        request = archive_service_pb2.ListPassagesRequest(
            agent_id=agent_id,
            tags=names_of("tags", tags),
            after_id=after_id or "",
            page_size=page_size or 0,
            descending=descending,
        )
        return self._connection.pages(self._stub.ListPassages, request, lambda page: page.passages)

    async def update(
        self, agent_id: str, passage_id: str, *, text: str | None = None, tags: Sequence[str] | None = None
    ) -> passages_pb2.Passage:
        """Change what is given and leave the rest; return the note as stored."""
        passage, mask = change(passages_pb2.Passage(), {"text": text, "tags": names_of("tags", tags)})
        request = archive_service_pb2.UpdatePassageRequest(
            agent_id=agent_id, passage_id=passage_id, passage=passage, update_mask=mask
        )
        return (await self._connection.ask(self._stub.UpdatePassage, request)).passage

    async def delete(self, agent_id: str, passage_id: str) -> None:
        """Remove a note."""
        request = archive_service_pb2.DeletePassageRequest(agent_id=agent_id, passage_id=passage_id)
        await self._connection.change(self._stub.DeletePassage, request)

    async def search(
        self,
        agent_id: str,
        query: str = "",
        *,
        tags: Sequence[str] = (),
        limit: int | None = None,
        mode: SearchMode = "best",
    ) -> Sequence[passages_pb2.Passage]:
        """Return the notes with all of these tags that fit best, best first.

        The mode `best` searches by words, and also by meaning where the server has an embedding model.
        """
        request = archive_service_pb2.SearchPassagesRequest(
            agent_id=agent_id,
            query=query,
            tags=names_of("tags", tags),
            limit=limit or 0,
            mode=search_mode(mode),
        )
        return (await self._connection.ask(self._stub.SearchPassages, request)).passages
