"""An asynchronous client and the loops that it is used in."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from letta_grpc.client import AsyncClient, run_start

STARTS = [run_start("agent-0b8f1a52-93cf-4c0e-9f31-30e0ad5b22ee", "hi")]


async def use(client: AsyncClient) -> None:
    agent = await client.agents.create(model="scripted/echo")
    async with client.stream(agent.id, "hello") as stream:
        assert await stream.text() == "hello"


USES: list[Callable[[AsyncClient], Awaitable[object]]] = [
    use,
    lambda client: anext(client.agents.list()),
    lambda client: client.stream_many(STARTS).final(),
    lambda client: client.converse().start("agent-1", "hi"),
    lambda client: client.close(),
]


def test_a_client_may_be_made_before_its_loop(server: str) -> None:
    client = AsyncClient(server)

    async def main() -> None:
        async with client:
            await use(client)

    asyncio.run(main())


@pytest.mark.parametrize("use_again", USES)
def test_a_client_that_is_used_in_a_second_loop_says_so(
    server: str, use_again: Callable[[AsyncClient], Awaitable[object]]
) -> None:
    client = AsyncClient(server)

    async def again() -> None:
        async with asyncio.timeout(10):
            await use_again(client)

    asyncio.run(use(client))
    with pytest.raises(RuntimeError, match="make one client per loop"):
        asyncio.run(again())


async def test_a_client_that_is_used_in_another_threads_loop_says_so_and_goes_on_in_its_own(server: str) -> None:
    raised: list[RuntimeError] = []

    async with AsyncClient(server) as client:
        await use(client)

        def elsewhere() -> None:
            try:
                asyncio.run(use(client))
            except RuntimeError as error:
                raised.append(error)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        await asyncio.to_thread(thread.join)
        await use(client)
    assert "make one client per loop" in str(raised[0])


async def test_a_client_that_was_never_used_closes() -> None:
    await AsyncClient("127.0.0.1:1").close()
