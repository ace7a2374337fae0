"""How many characters blocks may hold.

The reference server knows no bound; here a block has one, and the blocks of an agent have one together.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from letta_grpc.gateway.faces.letta.fields import few
from letta_grpc.gateway.faces.letta.operations import Ask, together
from letta_grpc.v1 import block_service_pb2, blocks_pb2

# The reference server's default, and the largest that there is: blocks.proto.
LARGEST = 100_000
TOGETHER = 500_000
# For what comes later, as the block of an agent that works in the background.
_LEFT_FREE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What a block asks for: its limit, and how many characters it has."""

    limit: int
    size: int

    def under(self, bar: int) -> int:
        """Return its limit where none is above this bar, but for what is there already."""
        return min(self.limit, LARGEST, max(bar, self.size, 1))


def fitted(needs: Sequence[Need], room: int) -> list[int]:
    """Return limits that fit into this many characters: the largest are lowered, and none below what the block has."""
    bar = bisect_right(range(LARGEST + 1), room, key=lambda bar: sum(need.under(bar) for need in needs)) - 1
    return [need.under(bar) for need in needs]


async def set_defaults(ask: Ask, blocks: Sequence[blocks_pb2.Block]) -> None:
    """Give the new ones of an agent's blocks a limit where they have none. Raises Failure."""
    new = [block for block in blocks if not block.id and not block.HasField("limit")]
    if not new:
        return
    ids = few("block_ids", [block.id for block in blocks if block.id])
    requests = [block_service_pb2.GetBlockRequest(block_id=id_) for id_ in ids]
    stored = await together(*(ask.call(ask.services.blocks.GetBlock, request) for request in requests))
    taken = sum(block.limit for block in (*blocks, *(found.block for found in stored)))
    needs = [Need(limit=LARGEST, size=len(block.value)) for block in new]
    for block, limit in zip(new, fitted(needs, TOGETHER - _LEFT_FREE - taken), strict=True):
        block.limit = limit
