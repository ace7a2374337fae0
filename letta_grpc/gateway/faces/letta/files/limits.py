"""Blocks of an agent file whose limits are larger than they can be here, alone or together."""

from collections.abc import Iterator

from letta_grpc.gateway.faces.letta.fields import Body, objects, strings
from letta_grpc.gateway.faces.letta.limits import LARGEST, TOGETHER, Need, fitted


def with_limits_that_fit(file: Body) -> tuple[Body, list[str]]:
    """Return a file whose blocks have limits that fit, and which had to be lowered for that. Raises Failure."""
    shared = {str(block.get("id")): f"blocks.{place}" for place, block in enumerate(objects(file, "blocks"))}
    blocks = dict(_blocks(file))
    limits: dict[str, int] = {}
    for place, agent in enumerate(objects(file, "agents")):
        own = [f"agents.{place}.memory_blocks.{at}" for at, _ in enumerate(objects(agent, "memory_blocks"))]
        paths = [*(shared[id_] for id_ in strings(agent, "block_ids") if id_ in shared), *own]
        needs = {path: need for path in paths if (need := _need(blocks[path]))}
        for path, limit in zip(needs, fitted(list(needs.values()), TOGETHER), strict=True):
            # What one agent has no room for is smaller for all that share it: each of them has room for less.
            limits[path] = min(limit, limits.get(path, LARGEST))
    lowered = [
        f"{path}.limit: {blocks[path]['limit']} is {limit} here"
        for path, limit in limits.items()
        if blocks[path].get("limit") not in (None, limit)
    ]
    return _limited(file, limits), lowered


def _blocks(file: Body) -> Iterator[tuple[str, Body]]:
    for place, block in enumerate(objects(file, "blocks")):
        yield f"blocks.{place}", block
    for place, agent in enumerate(objects(file, "agents")):
        for at, block in enumerate(objects(agent, "memory_blocks")):
            yield f"agents.{place}.memory_blocks.{at}", block


def _need(block: Body) -> Need | None:
    """Return what a block needs; None where that is no limit, which is told where the block is read."""
    limit, value = block.get("limit", LARGEST), block.get("value")
    if limit is None:
        limit = LARGEST
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        return None
    return Need(limit=limit, size=len(value) if isinstance(value, str) else 0)


def _limited(file: Body, limits: dict[str, int]) -> Body:
    def with_limit(path: str, block: Body) -> Body:
        return {**block, "limit": limits[path]} if path in limits else block

    blocks = [with_limit(f"blocks.{place}", block) for place, block in enumerate(objects(file, "blocks"))]
    agents = []
    for place, agent in enumerate(objects(file, "agents")):
        own = [
            with_limit(f"agents.{place}.memory_blocks.{at}", block) for at, block in enumerate(objects(agent, "memory_blocks"))
        ]
        agents.append({**agent, "memory_blocks": own})
    return {**file, "blocks": blocks, "agents": agents}
