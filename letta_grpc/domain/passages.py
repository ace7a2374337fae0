"""Archival notes: what an agent keeps out of its context and finds again by search."""

from dataclasses import dataclass
from datetime import datetime

from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.ids import AgentId, PassageId

MAX_PASSAGE_CHARACTERS = 20_000
MAX_PASSAGE_TAGS = 20
MAX_TAG_CHARACTERS = 100
DEFAULT_RESULTS = 10
MAX_RESULTS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One note of an agent."""

    id: PassageId
    agent_id: AgentId
    text: str
    tags: tuple[str, ...] = ()
    create_time: datetime
    update_time: datetime


class SearchMode(IdentityEnum):
    """How notes are searched."""

    # By words and by meaning where there is an embedding model, else by words.
    BEST = "best"
    WORDS = "words"
    MEANING = "meaning"


def folded_tag(tag: str) -> str:
    """Return a tag as tags are compared: without letter case and without the width of its spaces."""
    return " ".join(tag.casefold().split())
