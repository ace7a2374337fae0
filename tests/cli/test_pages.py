"""What a command asks of the server about many things at once."""

import asyncio

from letta_grpc.cli.pages import AT_ONCE, each


async def test_what_is_asked_about_each_is_asked_side_by_side_and_comes_in_order() -> None:
    full = asyncio.Barrier(AT_ONCE)
    at_work = most = 0

    async def ask(number: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        # Nobody passes before as many ask as may.
        await full.wait()
        at_work -= 1
        return -number

    async with asyncio.timeout(5):
        assert await each(range(3 * AT_ONCE), ask) == [-number for number in range(3 * AT_ONCE)]
    assert most == AT_ONCE
