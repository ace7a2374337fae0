"""Conversations that are longer than what a start has at hand."""

import pytest

from tests.support.houses import Wire, said, talk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def test_every_answer_is_to_what_was_said_last(wire: Wire) -> None:
    one = await talk(wire)
    for number in range(50):
        await one.ask(str(number))
    exchanges = [(role, str(number)) for number in range(50) for role in ("USER", "ASSISTANT")]
    assert said(await one.history()) == exchanges
