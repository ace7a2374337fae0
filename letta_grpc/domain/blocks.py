"""Memory blocks."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from letta_grpc.domain.ids import BlockId

DEFAULT_BLOCK_LIMIT = 20_000


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
