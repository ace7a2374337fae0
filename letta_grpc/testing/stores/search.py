"""What searching messages promises."""
# ruff: noqa: S101 - assert is what a contract does

import pytest

from letta_grpc.domain.messages import Role
from letta_grpc.testing.stores.world import World


class SearchContract:
    """What HistoryStore.search promises. A subclass gives the fixture `world`."""

    async def test_every_word_must_be_there(self, world: World) -> None:
        """In any order and any case; a word may be part of a longer one."""
        thread = await world.default(await world.agent())
        await world.turn(thread, "I like green tea", "Tea it is, GREEN as grass")
        await world.turn(thread, "Greenland is large", "So it is")

        async def find(query: str) -> list[str]:
            return [m.text for m in await world.history.search(thread.id, query, 10)]

        assert await find("tea green") == ["Tea it is, GREEN as grass", "I like green tea"]
        assert await find("GREEN") == ["Greenland is large", "Tea it is, GREEN as grass", "I like green tea"]
        assert await find("  large\tgreen ") == ["Greenland is large"]
        assert await find("green coffee") == []

    async def test_the_newest_come_first_and_no_more_than_asked(self, world: World) -> None:
        """No words at all fit every message."""
        thread = await world.default(await world.agent())
        for n in range(4):
            await world.turn(thread, f"word {n}", "answer")
        assert [m.text for m in await world.history.search(thread.id, "word", 2)] == ["word 3", "word 2"]
        assert [m.text for m in await world.history.search(thread.id, " ", 3)] == ["answer", "word 3", "answer"]

    async def test_another_conversation_is_not_searched(self, world: World) -> None:
        """Not even one of the same agent."""
        agent = await world.agent()
        await world.turn(await world.default(agent), "secret", "secret")
        assert await world.history.search((await world.conversation(agent)).id, "secret", 10) == ()

    @pytest.mark.parametrize("sign", ["%", "_", "\\", "*", "?", "'", '"', "[a]", "--", "/"])
    async def test_signs_stand_for_themselves(self, world: World, sign: str) -> None:
        """No sign is a wild card or ends the query."""
        thread = await world.default(await world.agent())
        await world.turn(thread, f"so 100{sign}a it is", "so 100a, 100xxa it is")
        found = await world.history.search(thread.id, f"100{sign}a", 10)
        assert [m.text for m in found] == [f"so 100{sign}a it is"]

    @pytest.mark.parametrize(("text", "query"), [("STRASSE", "straße"), ("ÄRGER", "ärger"), ("ΣΊΣΥΦΟΣ", "σίσυφος")])
    async def test_case_is_ignored_in_every_script(self, world: World, text: str, query: str) -> None:
        """As far as Unicode folds it."""
        thread = await world.default(await world.agent())
        await world.turn(thread, text, "other")
        assert [m.text for m in await world.history.search(thread.id, query, 10)] == [text]
        await world.turn(thread, query, "other")
        assert [m.text for m in await world.history.search(thread.id, text, 10)] == [query, text]

    async def test_a_long_query_is_as_good_as_a_short_one(self, world: World) -> None:
        """However many words it has, and however long they are; the last of them counts too."""
        thread = await world.default(await world.agent())
        words = [*(f"w{n}" for n in range(2000)), "x" * 60_000]
        await world.turn(thread, " ".join(words), "other")
        found = await world.history.search(thread.id, " ".join(words), 10)
        assert [m.role for m in found] == [Role.USER]
        assert await world.history.search(thread.id, " ".join([*words, "missing"]), 10) == ()
        assert await world.history.search(thread.id, "x" * 60_001, 10) == ()
