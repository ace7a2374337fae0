"""Pages: sizes and opaque tokens."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Protocol

from letta_grpc.domain.paging import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageRequest
from letta_grpc.transport.convert.rules import Rules

_POSITION_BYTES = 8


class Paged(Protocol):
    """A request for a part of a list."""

    page_size: int
    page_token: str


class OrderedPaged(Paged, Protocol):
    """A request for a part of a list, from either end."""

    descending: bool


def page_from_pb(rules: Rules, request: OrderedPaged, after_id: str = "") -> PageRequest:
    """Return which part of a list is asked for. `after_id` counts only without a token."""
    return PageRequest(
        size=page_size_from_pb(rules, request),
        after=position_from_token(rules, request.page_token),
        after_id=after_id if after_id and not request.page_token else None,
        descending=request.descending,
    )


def page_size_from_pb(rules: Rules, request: Paged) -> int:
    """Return how many are asked for at most."""
    return rules.number("page_size", request.page_size or DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE)


def token_of(position: int | None) -> str:
    """Return the token of a position; empty for the end."""
    if position is None:
        return ""
    return urlsafe_b64encode(position.to_bytes(_POSITION_BYTES, "big", signed=True)).decode().rstrip("=")


def position_from_token(rules: Rules, token: str) -> int | None:
    """Return the position that a token stands for; None for no token."""
    if not token:
        return None
    try:
        raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    # The second test refuses what the decoder skips over: any other spelling of the same position.
    if len(raw) != _POSITION_BYTES or token_of(int.from_bytes(raw, "big", signed=True)) != token:
        rules.broken("page_token", "must be the next_page_token of the page before")
        return None
    return int.from_bytes(raw, "big", signed=True)
