"""Archival notes: what an agent keeps out of its context and finds again by search."""

from dataclasses import dataclass
from datetime import datetime

from letta_grpc.domain.ids import AgentId, PassageId


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One note of an agent."""

    id: PassageId
    agent_id: AgentId
    text: str
    tags: tuple[str, ...] = ()
    create_time: datetime
