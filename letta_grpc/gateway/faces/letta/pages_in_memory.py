"""Pages of lists that are read whole, because the contract has no place to begin at: tools, tags."""

from typing import TypeVar

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import MAX_LIMIT, check_order, is_descending

T = TypeVar("T")


def page_of(ask: Ask, items: list[T], *, limit: int = 50, order: str = "desc", by_creation: bool = True) -> list[T]:
    """Return the items that a request's query asks for; `items` are in ascending order. Raises Failure."""
    if by_creation:
        check_order(ask)
    size = ask.number("limit", limit, MAX_LIMIT)
    ordered = items[::-1] if is_descending(ask, order) else items
    keys = [item["id"] if isinstance(item, dict) else item for item in ordered]
    if before := ask.query("before"):
        end = keys.index(before) if before in keys else 0
        return ordered[max(end - size, 0) : end]
    if after := ask.query("after"):
        start = keys.index(after) + 1 if after in keys else len(keys)
        return ordered[start : start + size]
    return ordered[:size]
