"""What a MessageSearch promises."""
# ruff: noqa: S101 - assert is what a contract does

import pytest

from letta_grpc.domain.messages import Role
from letta_grpc.ports.search import MessageQuery
from letta_grpc.testing.stores.world import World


class SearchContract:
    """What a MessageSearch promises. A subclass gives the fixture `world`."""

    async def test_every_word_must_be_there(self, world: World) -> None:
        """In any order and any case; the beginning of a word is enough."""
        thread = await world.default(await world.agent())
        await world.turn(thread, "I like green tea", "Tea it is, GREEN as grass")
        await world.turn(thread, "Greenland is large", "So it is, by and large")

        assert set(await world.found(thread, "tea green")) == {"Tea it is, GREEN as grass", "I like green tea"}
        assert await world.found(thread, "  large\tgreen ") == ["Greenland is large"]
        assert await world.found(thread, "green coffee") == []
        assert await world.found(thread, "land") == []

    async def test_what_says_it_most_densely_comes_first(self, world: World) -> None:
        """A rare word weighs more than a common one."""
        thread = await world.default(await world.agent())
        for n in range(8):
            await world.turn(thread, f"the weather of day {n}", "so it is with the weather here")
        await world.turn(thread, "Paris, and a word about so many other things of no interest at all", "Paris")
        assert (await world.found(thread, "paris"))[0] == "Paris"
        await world.turn(thread, "the garden the garden the house", "the house and the garden")
        assert (await world.found(thread, "the garden"))[0] == "the garden the garden the house"

    async def test_the_newest_of_those_alike_come_first_and_no_more_than_asked(self, world: World) -> None:
        """No words at all fit every message."""
        thread = await world.default(await world.agent())
        for n in range(4):
            await world.turn(thread, f"word {n}", "answer")
        assert await world.found(thread, "word", 2) == ["word 3", "word 2"]
        assert await world.found(thread, " ", 3) == ["answer", "word 3", "answer"]

    async def test_all_conversations_of_the_agent_are_searched_or_one_or_those_of_all(self, world: World) -> None:
        """Where an agent is named, never those of another, also if one of them is named."""
        agent, other = await world.agent(), await world.agent()
        first, second = await world.default(agent), await world.conversation(agent)
        await world.turn(first, "a secret", "first")
        await world.turn(second, "the secret", "second")
        foreign = await world.default(other)
        await world.turn(foreign, "their secret", "third")
        found = await world.messages.search(MessageQuery(agent_id=agent.id, text="secret"))
        assert {(each.conversation_id, each.message.text) for each in found} == {
            (first.id, "a secret"),
            (second.id, "the secret"),
        }
        assert await world.found(second, "secret") == ["the secret"]
        stolen = MessageQuery(agent_id=agent.id, conversation_id=foreign.id, text="secret")
        assert await world.messages.search(stolen) == ()
        everywhere = await world.messages.search(MessageQuery(agent_id=None, text="secret"))
        assert {(each.agent_id, each.conversation_id, each.message.text) for each in everywhere} == {
            (agent.id, first.id, "a secret"),
            (agent.id, second.id, "the secret"),
            (other.id, foreign.id, "their secret"),
        }
        newest = await world.messages.search(MessageQuery(agent_id=None, limit=3))
        assert [each.message.text for each in newest] == ["third", "their secret", "second"]

    async def test_roles_and_times_narrow(self, world: World) -> None:
        """A time from which on counts itself, a time before which does not."""
        agent = await world.agent()
        thread = await world.default(agent)
        for _ in range(3):
            await world.turn(thread, "tea", "tea")
        everything = await world.messages.search(MessageQuery(agent_id=agent.id, text="tea"))
        times = sorted(found.message.create_time for found in everything)
        spoken = await world.messages.search(MessageQuery(agent_id=agent.id, text="tea", roles=(Role.ASSISTANT,)))
        assert [found.message.role for found in spoken] == [Role.ASSISTANT] * 3
        middle = MessageQuery(agent_id=agent.id, text="tea", create_time_from=times[1], create_time_before=times[3])
        found_times = [found.message.create_time for found in await world.messages.search(middle)]
        assert sorted(found_times) == times[1:3]

    @pytest.mark.parametrize("sign", ["%", "_", "\\", "*", "?", "'", '"', "[a]", "--", "/", "^", ":", "(", '" OR "', "{", "+"])
    async def test_signs_mean_nothing(self, world: World, sign: str) -> None:
        """No sign is a wild card, a rule of a query language, or an end of the query."""
        thread = await world.default(await world.agent())
        await world.turn(thread, f"so 100{sign}a it is", "so 100a, 100xxa it is")
        assert await world.found(thread, f"100{sign}a") == [f"so 100{sign}a it is"]

    @pytest.mark.parametrize("word", ["OR", "AND", "NOT", "NEAR", "owners", "words", "rowid"])
    async def test_words_of_query_languages_are_words(self, world: World, word: str) -> None:
        """They are looked for like any other."""
        thread = await world.default(await world.agent())
        await world.turn(thread, f"left {word} right", "left right")
        assert await world.found(thread, f"left {word} right") == [f"left {word} right"]

    async def test_a_query_of_nothing_but_signs_finds_nothing(self, world: World) -> None:
        """It is not one without words."""
        thread = await world.default(await world.agent())
        await world.turn(thread, "well?!", "...")
        assert await world.found(thread, "?!") == []

    @pytest.mark.parametrize(
        ("text", "query"),
        [
            ("STRASSE", "straße"),
            ("ÄRGER", "arger"),
            ("cafe", "Café"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Ёлка", "елка"),
            ("한국어", "한국"),
            ("我住在东京都", "东京"),
            ("ばか", "ば"),
            ("tea time 🍵!", "🍵"),
            ("snake_case", "case"),
        ],
    )
    async def test_words_of_every_script_are_found(self, world: World, text: str, query: str) -> None:
        """Letter case and diacritics make no difference; scripts without spaces are found sign by sign."""
        thread = await world.default(await world.agent())
        await world.turn(thread, text, "other")
        assert await world.found(thread, query) == [text]

    async def test_a_row_of_signs_is_not_its_signs(self, world: World) -> None:
        """Nor is a letter that differs by more than a mark the same letter."""
        thread = await world.default(await world.agent())
        await world.turn(thread, "东方 京城", "はか")
        assert await world.found(thread, "东京") == []
        assert await world.found(thread, "ば") == []

    async def test_a_long_query_is_as_good_as_a_short_one(self, world: World) -> None:
        """However many words it has, and however long they are; the last of them counts too."""
        thread = await world.default(await world.agent())
        words = [*(f"w{n}w" for n in range(300)), "x" * 6_000]
        await world.turn(thread, " ".join(words), "other")
        assert await world.found(thread, " ".join(words)) == [" ".join(words)]
        assert await world.found(thread, " ".join([*words, "missing"])) == []
        assert await world.found(thread, "x" * 6_001) == []

    async def test_what_is_new_and_what_is_gone_is_known_at_once(self, world: World) -> None:
        """Also where a search has looked before, and where new messages take the place of removed ones."""
        agent = await world.agent()
        thread = await world.default(agent)
        await world.turn(thread, "one apple", "yes")
        assert await world.found(thread, "apple") == ["one apple"]
        extra = await world.conversation(agent)
        await world.turn(extra, "two apples", "yes")
        assert await world.found(extra, "apple") == ["two apples"]
        await world.conversations.delete(extra.id)
        await world.turn(thread, "three pears", "no")
        assert await world.found(thread, "pear") == ["three pears"]
        query = MessageQuery(agent_id=agent.id, text="apple")
        assert [found.message.text for found in await world.messages.search(query)] == ["one apple"]
        assert await world.found(thread, "two") == []
