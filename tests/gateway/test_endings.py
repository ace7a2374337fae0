"""How a call that streams both ways is said to have ended, whoever is writing just then."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from letta_grpc.gateway.descriptors import Rpc
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.upstream import BidiCall, CallOverError
from tests.support.gateways import made_up_gateway
from tests.support.made_up import made_up, new, serving_made_up

(TALK,) = (rpc for rpc in made_up().rpcs if rpc.name.endswith("/Talk"))


async def refuse(_requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
    yield


async def written_until_over(channel: grpc.aio.Channel, rpc: Rpc) -> BidiCall:
    """A call whose server ends it while requests are written, of which none is read."""
    call = BidiCall(channel, rpc, ())
    with suppress(CallOverError):
        while True:
            await call.write(new("TalkRequest", word="x" * 10_000).SerializeToString())
    return call


async def test_a_refused_socket_says_why_whatever_it_sends_at_once() -> None:
    async with made_up_gateway({"Talk": refuse}) as client, asyncio.timeout(30):
        url = str(client.base_url.join("/api/v1/shelves/top:talk")).replace("http://", "ws://")
        for _ in range(40):
            async with connect(url, proxy=None) as connection:
                told: list[str | bytes] = []
                with suppress(ConnectionClosed):
                    for _ in range(30):
                        await connection.send('{"word": "at once"}')
                with suppress(ConnectionClosed):
                    while True:
                        told.append(await connection.recv())
                assert [json.loads(text)["error"]["message"] for text in told] == ["who are you?"]
                assert connection.close_code == 4401


async def test_a_write_that_comes_too_late_hides_neither_the_servers_status_nor_its_last_words() -> None:
    async def stop(_requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        for number in range(3):
            yield new("TalkResponse", word=str(number))
        await context.abort(grpc.StatusCode.ABORTED, "stopping")

    async with serving_made_up({"Talk": stop}) as channel, asyncio.timeout(30):
        for _ in range(20):
            call = await written_until_over(channel, TALK)
            words = [TALK.response.FromString(await call.read() or b"").word for _ in range(3)]  # type: ignore[attr-defined]  # no stubs
            assert words == ["0", "1", "2"]
            with pytest.raises(Failure) as failed:
                await call.read()
            assert (failed.value.code, failed.value.message) == (grpc.StatusCode.ABORTED, "stopping")


async def test_a_call_that_ended_well_ended_well_for_who_still_writes() -> None:
    async def leave(_requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        yield new("TalkResponse", word="bye")

    async with serving_made_up({"Talk": leave}) as channel, asyncio.timeout(30):
        for _ in range(20):
            call = await written_until_over(channel, TALK)
            assert await call.read() is not None
            assert await call.read() is None
            with pytest.raises(CallOverError):
                await call.write(b"")
