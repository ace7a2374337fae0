"""Archival notes, and what is searched for."""

from collections.abc import Collection

from letta_grpc.domain.ids import AgentId, PassageId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.passages import (
    DEFAULT_RESULTS,
    MAX_PASSAGE_CHARACTERS,
    MAX_PASSAGE_TAGS,
    MAX_RESULTS,
    MAX_TAG_CHARACTERS,
    Passage,
    SearchMode,
)
from letta_grpc.transport.convert.enums import SEARCH_MODES
from letta_grpc.transport.convert.masks import changes_from_mask
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.times import timestamp_to_pb
from letta_grpc.v1 import archive_service_pb2 as pb
from letta_grpc.v1 import passages_pb2

MAX_QUERY_CHARACTERS = 2_000


def passage_to_pb(passage: Passage) -> passages_pb2.Passage:
    """Return a note."""
    return passages_pb2.Passage(
        id=passage.id,
        agent_id=passage.agent_id,
        text=passage.text,
        tags=passage.tags,
        create_time=timestamp_to_pb(passage.create_time),
        update_time=timestamp_to_pb(passage.update_time),
    )


def new_passage_from_pb(request: pb.CreatePassageRequest) -> tuple[AgentId, str, tuple[str, ...]]:
    """Return the note to keep: agent, text, tags."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        text, tags = _text(rules, request.passage), _tags(rules, "passage.tags", request.passage.tags)
    return AgentId(agent_id), text, tags


def passage_id_from_pb(request: pb.GetPassageRequest | pb.DeletePassageRequest) -> tuple[AgentId, PassageId]:
    """Return which note is meant."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        passage_id = rules.id("passage_id", "passage", request.passage_id)
    return AgentId(agent_id), PassageId(passage_id)


def passages_query_from_pb(request: pb.ListPassagesRequest) -> tuple[AgentId, PageRequest, tuple[str, ...]]:
    """Return which notes to list: agent, page, tags."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        page = page_from_pb(rules, request, request.after_id)
        tags = _tags(rules, "tags", request.tags)
    return AgentId(agent_id), page, tags


def passage_update_from_pb(request: pb.UpdatePassageRequest) -> tuple[AgentId, PassageId, dict[str, object]]:
    """Return which note to change, and how."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        passage_id = rules.id("passage_id", "passage", request.passage_id)
        changes = changes_from_mask(
            rules,
            request.update_mask,
            {
                "text": lambda: _text(rules, request.passage),
                "tags": lambda: _tags(rules, "passage.tags", request.passage.tags),
            },
        )
    return AgentId(agent_id), PassageId(passage_id), changes


def search_from_pb(request: pb.SearchPassagesRequest) -> tuple[AgentId, str, tuple[str, ...], int, SearchMode]:
    """Return what to search for: agent, query, tags, limit, mode."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        query = rules.text("query", request.query, MAX_QUERY_CHARACTERS)
        tags = _tags(rules, "tags", request.tags)
        limit = result_limit(rules, request.limit)
        mode = SEARCH_MODES.checked(rules, "mode", request.mode, SearchMode.BEST)
    return AgentId(agent_id), query, tags, limit, mode


def result_limit(rules: Rules, limit: int) -> int:
    """Return how many results are asked for at most."""
    return rules.number("limit", limit or DEFAULT_RESULTS, 1, MAX_RESULTS)


def _text(rules: Rules, passage: passages_pb2.Passage) -> str:
    return rules.text("passage.text", passage.text, MAX_PASSAGE_CHARACTERS, required=True)


def _tags(rules: Rules, path: str, tags: Collection[str]) -> tuple[str, ...]:
    return rules.tags(path, tags, MAX_PASSAGE_TAGS, MAX_TAG_CHARACTERS)
