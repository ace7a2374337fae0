"""Memory blocks."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from letta_grpc.domain.errors import InvalidRequest, NameTaken
from letta_grpc.domain.ids import BlockId

DEFAULT_BLOCK_LIMIT = 20_000
# An agent is sent with all its blocks in one response, which clients take up to 4 MiB of: a character may be four bytes.
MAX_AGENT_BLOCK_LIMITS = 500_000
MAX_AGENT_BLOCKS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A named text that an agent always sees. `limit` is in characters; `version` rises with every change."""

    id: BlockId
    label: str
    value: str
    description: str = ""
    limit: int = DEFAULT_BLOCK_LIMIT
    read_only: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    create_time: datetime
    update_time: datetime


def check_together(blocks: Collection[Block], path: str) -> None:
    """Raise NameTaken, or InvalidRequest naming the field, if one agent may not have all these blocks."""
    labels = [block.label for block in blocks]
    for label in labels:
        if labels.count(label) > 1:
            raise NameTaken("Two blocks of the agent have the same label.", name=label)
    check_block_limits([block.limit for block in blocks], path)


def check_block_limits(limits: Sequence[int], path: str) -> None:
    """Raise InvalidRequest, naming the field, if an agent may not hold blocks of these limits."""
    if len(limits) > MAX_AGENT_BLOCKS:
        raise InvalidRequest(fields={path: f"an agent has at most {MAX_AGENT_BLOCKS} blocks, not {len(limits)}"})
    if sum(limits) > MAX_AGENT_BLOCK_LIMITS:
        rule = f"the limits of an agent's blocks add up to {MAX_AGENT_BLOCK_LIMITS} characters at most, not {sum(limits)}"
        raise InvalidRequest(fields={path: rule})
