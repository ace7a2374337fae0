"""Archival memory: what an agent keeps out of its context."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import few, moment, required_text, strings, text, whole_number
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation, together
from letta_grpc.gateway.faces.letta.pages import fetch_of, listed
from letta_grpc.gateway.faces.letta.shapes.passages import found_json, passage_json
from letta_grpc.gateway.faces.letta.targets import agent_in
from letta_grpc.v1 import archive_service_pb2 as pb
from letta_grpc.v1 import passages_pb2

_MAX_FOUND = 50
_FOUND = 10


async def create(ask: Ask) -> Json:
    """Keep a note; the answer is a list of the notes that were made of the text."""
    if ask.body.get("created_at") is not None:
        # Every note is as old as its keeping; but what is no time is told.
        moment("created_at", str(ask.body["created_at"]))
    note = passages_pb2.Passage(text=required_text(ask.body, "text"), tags=strings(ask.body, "tags"))
    request = pb.CreatePassageRequest(agent_id=agent_in(ask).agent_id, passage=note)
    return [passage_json((await ask.call(ask.services.archives.CreatePassage, request)).passage)]


async def list_passages(ask: Ask) -> Json:
    """List notes; with `search` those that it finds."""
    agent_id = agent_in(ask).agent_id
    if words := ask.query("search"):
        found = await _found(ask, agent_id, words, [], limit=ask.number("limit", _FOUND, _MAX_FOUND))
        return [passage_json(passage) for passage in found]
    fetch = fetch_of(ask, ask.services.archives.ListPassages, lambda page: page.passages)
    return await listed(ask, pb.ListPassagesRequest(agent_id=agent_id), fetch, lambda note: [passage_json(note)], order="asc")


async def search(ask: Ask) -> Json:
    """Find notes by words, and by meaning where the server has an embedding model."""
    limit = ask.number("top_k", _FOUND, _MAX_FOUND)
    words = ask.query("query") or ""
    match_all = ask.query("tag_match_mode") == "all"
    found = await _found(
        ask,
        agent_in(ask).agent_id,
        words,
        few("tags", ask.queries("tags"), "query"),
        match_all=match_all,
        limit=limit,
        time_from=ask.time("start_datetime"),
        time_before=ask.time("end_datetime"),
    )
    results = [found_json(note) for note in found]
    return {"results": results, "count": len(results)}


async def search_passages(ask: Ask) -> Json:
    """Find notes of one agent, with their ranks as scores."""
    body = ask.body
    agent_id = text(body, "agent_id")
    if agent_id is None:
        raise unprocessable("agent_id", "is needed: notes are searched agent by agent")
    if body.get("archive_id"):
        # An agent's archive has no id here.
        return []
    time_from, time_before = (
        moment(name, given) if (given := text(body, name)) else None for name in ("start_date", "end_date")
    )
    found = await _found(
        ask,
        checked_id("agent", agent_id, "body"),
        text(body, "query") or "",
        few("tags", strings(body, "tags")),
        match_all=body.get("tag_match_mode") == "all",
        limit=whole_number(body, "limit", _FOUND, _MAX_FOUND),
        time_from=time_from,
        time_before=time_before,
    )
    return [{"passage": passage_json(note), "score": 1 / (rank + 1), "metadata": {}} for rank, note in enumerate(found)]


async def _found(
    ask: Ask,
    agent_id: str,
    words: str,
    tags: Sequence[str],
    *,
    limit: int,
    match_all: bool = False,
    time_from: datetime | None = None,
    time_before: datetime | None = None,
) -> list[passages_pb2.Passage]:
    """Return notes, the best first; between times, those of the best that fit.

    Any of the tags suffices unless all are asked for: then each tag is a search.
    """
    looked_at = _MAX_FOUND if time_from or time_before else limit
    groups = [list(tags)] if match_all or not tags else [[tag] for tag in tags]
    requests = [pb.SearchPassagesRequest(agent_id=agent_id, query=words, tags=group, limit=looked_at) for group in groups]
    lists = await together(*(ask.call(ask.services.archives.SearchPassages, request) for request in requests))
    merged = _merged([response.passages for response in lists])[:looked_at]
    return [note for note in merged if _is_between(note, time_from, time_before)][:limit]


def _merged(lists: Sequence[Sequence[passages_pb2.Passage]]) -> list[passages_pb2.Passage]:
    ranked: Iterable[tuple[int, passages_pb2.Passage]] = ((rank, note) for each in lists for rank, note in enumerate(each))
    best: dict[str, passages_pb2.Passage] = {}
    for _, note in sorted(ranked, key=lambda pair: pair[0]):
        best.setdefault(note.id, note)
    return list(best.values())


def _is_between(note: passages_pb2.Passage, first: datetime | None, end: datetime | None) -> bool:
    made = note.create_time.ToDatetime(UTC)
    return (first is None or made >= first) and (end is None or made < end)


async def update(ask: Ask) -> Json:
    """Change what the body names."""
    agent_id, passage_id = agent_in(ask).agent_id, _note_id(ask)
    body: dict[str, Any] = {name: ask.body[name] for name in ("text", "tags") if ask.body.get(name) is not None}
    if not body:
        wanted = pb.GetPassageRequest(agent_id=agent_id, passage_id=passage_id)
        return [passage_json((await ask.call(ask.services.archives.GetPassage, wanted)).passage)]
    note = passages_pb2.Passage(text=text(body, "text") or "", tags=strings(body, "tags"))
    request = pb.UpdatePassageRequest(
        agent_id=agent_id, passage_id=passage_id, passage=note, update_mask=FieldMask(paths=list(body))
    )
    return [passage_json((await ask.call(ask.services.archives.UpdatePassage, request)).passage)]


async def delete(ask: Ask) -> Json:
    """Remove a note."""
    passage_id = _note_id(ask)
    request = pb.DeletePassageRequest(agent_id=agent_in(ask).agent_id, passage_id=passage_id)
    await ask.call(ask.services.archives.DeletePassage, request)
    return {"message": f"Memory id={passage_id} successfully deleted"}


def _note_id(ask: Ask) -> str:
    return checked_id("passage", ask.path("memory_id"))


_ARCHIVE = "/v1/agents/{agent_id}/archival-memory"
OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST", _ARCHIVE, create, "needs no embedding model", "`created_at` is ignored: a note is as old as its keeping"
    ),
    Operation("GET", _ARCHIVE, list_passages),
    Operation("GET", f"{_ARCHIVE}/search", search, "by words too, not by meaning alone", "looks for dates among the 50 best"),
    Operation("PATCH", f"{_ARCHIVE}/{{memory_id}}", update),
    Operation("DELETE", f"{_ARCHIVE}/{{memory_id}}", delete),
    Operation("POST", "/v1/passages/search", search_passages, differs="needs agent_id; looks for dates among the 50 best"),
)
