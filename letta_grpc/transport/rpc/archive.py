"""ArchiveService."""

# ruff: noqa: N802 - methods are named as the contract names them

from letta_grpc.engine.archive import Archive
from letta_grpc.transport.convert.archive import (
    new_passage_from_pb,
    passage_id_from_pb,
    passage_to_pb,
    passage_update_from_pb,
    passages_query_from_pb,
    search_from_pb,
)
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.methods import Call
from letta_grpc.transport.rpc.pages import fitting, that_fit
from letta_grpc.v1 import archive_service_pb2 as pb


class ArchiveServicer:
    """Keeps and finds notes."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    async def CreatePassage(self, request: pb.CreatePassageRequest, _call: Call) -> pb.CreatePassageResponse:
        """Keep a note."""
        agent_id, text, tags = new_passage_from_pb(request)
        return pb.CreatePassageResponse(passage=passage_to_pb(await self._archive.create(agent_id, text, tags)))

    async def GetPassage(self, request: pb.GetPassageRequest, _call: Call) -> pb.GetPassageResponse:
        """Return a note."""
        agent_id, passage_id = passage_id_from_pb(request)
        return pb.GetPassageResponse(passage=passage_to_pb(await self._archive.get(agent_id, passage_id)))

    async def ListPassages(self, request: pb.ListPassagesRequest, _call: Call) -> pb.ListPassagesResponse:
        """Return a page of notes."""
        agent_id, page, tags = passages_query_from_pb(request)
        found = await fitting(page, lambda part: self._archive.list(agent_id, part, tags=tags), passage_to_pb)
        return pb.ListPassagesResponse(passages=found.items, next_page_token=token_of(found.next))

    async def UpdatePassage(self, request: pb.UpdatePassageRequest, _call: Call) -> pb.UpdatePassageResponse:
        """Change a note."""
        agent_id, passage_id, changes = passage_update_from_pb(request)
        return pb.UpdatePassageResponse(passage=passage_to_pb(await self._archive.update(agent_id, passage_id, changes)))

    async def DeletePassage(self, request: pb.DeletePassageRequest, _call: Call) -> pb.DeletePassageResponse:
        """Remove a note."""
        agent_id, passage_id = passage_id_from_pb(request)
        await self._archive.delete(agent_id, passage_id)
        return pb.DeletePassageResponse()

    async def SearchPassages(self, request: pb.SearchPassagesRequest, _call: Call) -> pb.SearchPassagesResponse:
        """Find notes."""
        agent_id, query, tags, limit, mode = search_from_pb(request)
        found = await self._archive.search(agent_id, query, tags, limit, mode)
        return pb.SearchPassagesResponse(passages=that_fit(map(passage_to_pb, found)))
