"""How long a request's body may take: what comes buys time."""

import asyncio
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive

from letta_grpc.gateway.bodies import read_body
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.options import GatewayOptions

# Less than what the pieces below take in all, and several times what one of them takes.
OPTIONS = GatewayOptions(body_seconds=0.5)


def coming(pieces: Iterable[bytes], seconds: float) -> Receive:
    """A body whose pieces come one after the other, each after some time."""
    left = iter(pieces)

    async def receive() -> Message:
        await asyncio.sleep(seconds)
        return {"type": "http.request", "body": next(left), "more_body": True}

    return receive


def ending(receive: Receive, after: int) -> Receive:
    count = iter(range(1, after + 1))

    async def last() -> Message:
        return {**await receive(), "more_body": next(count) < after}

    return last


async def test_a_large_body_that_keeps_coming_has_the_time_it_takes() -> None:
    pieces = [b"x" * 32 * 1024] * 6
    body = await read_body({"headers": []}, ending(coming(pieces, 0.1), after=6), OPTIONS)
    assert body == b"".join(pieces)


async def test_a_body_that_comes_by_single_bytes_is_too_late() -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Failure, match="took too long") as failed:
            await read_body({"headers": []}, coming(iter(lambda: b"x", b""), 0.01), OPTIONS)
    assert failed.value.http == 408
