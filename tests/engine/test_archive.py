"""Searching archives by words and by meaning, with an embedding model that the test directs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from letta_grpc.adapters.memory.database import MemoryDatabase
from letta_grpc.adapters.memory.passages import MemoryPassageVectors
from letta_grpc.adapters.memory.state import MemoryState
from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import EmbeddingsFailed, InvalidRequest
from letta_grpc.domain.ids import AgentId, PassageId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.passages import Passage, SearchMode
from letta_grpc.engine.archive import Archive, fused
from letta_grpc.engine.semantic_search import SemanticSearch
from letta_grpc.ports.embeddings import TextRefusedError
from letta_grpc.ports.search import PassageVectors
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.memory_worlds import world_of

MEANING = SearchMode.MEANING


@dataclass
class DirectedEmbeddings:
    """A text means how many letters a and b it has. Fails, refuses long texts, or hangs, also on some or too many, as told."""

    handle: str = "test/letters"
    fails: bool = False
    hangs: bool = False
    hangs_on_notes: bool = False
    fails_at: str = "no such text"
    fails_from: int = 1_000
    hangs_at: str = "no such text"
    longest: int = 10_000
    most: int = 100
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        self.asked.append(tuple(texts))
        if self.fails or self.fails_at in texts or len(self.asked) >= self.fails_from:
            raise EmbeddingsFailed("test fails (500)", model=self.handle)
        is_too_much = len(texts) > self.most or self.hangs_at in texts
        if self.hangs or (self.hangs_on_notes and len(self.asked) > 1) or is_too_much:
            await asyncio.Event().wait()
        if any(len(text) > self.longest for text in texts):
            raise TextRefusedError("too long")
        return tuple((text.count("a") + 0.001, text.count("b") + 0.001) for text in texts)


class Desk:
    """An archive with one agent."""

    def __init__(self, agent: Agent, database: MemoryDatabase, clock: FakeClock) -> None:
        self.agent, self.database, self.clock = agent, database, clock
        self.model = DirectedEmbeddings()
        self.archive = self.with_vectors(database.passage_vectors)

    def with_vectors(self, vectors: PassageVectors, patience_seconds: float = 10.0) -> Archive:
        semantic = SemanticSearch(self.model, vectors, self.clock, patience_seconds=patience_seconds)
        return Archive(passages=self.database.passages, words=self.database.passages, semantic=semantic, clock=self.clock)

    async def note(self, text: str, *tags: str) -> Passage:
        return await self.archive.create(self.agent.id, text, tags)

    async def found(
        self, query: str, mode: SearchMode = SearchMode.BEST, tags: Sequence[str] = (), limit: int = 10
    ) -> list[str]:
        return [note.text for note in await self.archive.search(self.agent.id, query, tags, limit, mode)]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    clock = FakeClock()
    database = MemoryDatabase(clock, ProtoEventCodec())
    async with asyncio.timeout(10):
        yield Desk(await world_of(database).agent(), database, clock)


async def test_both_ways_together_find_more_than_each(desk: Desk) -> None:
    for text in ("aaa", "bbb", "xyz abb"):
        await desk.note(text)
    assert await desk.found("aa", MEANING) == ["aaa", "xyz abb", "bbb"]
    assert await desk.found("xyz", SearchMode.WORDS) == ["xyz abb"]
    assert (await desk.found("xyz bbbb"))[0] == "bbb"
    assert (await desk.found("xyz"))[0] == "xyz abb"
    assert await desk.found("aaa", limit=1) == ["aaa"]


async def test_what_leads_in_one_ranking_or_stands_well_in_both_comes_first() -> None:
    a, b, c, d = (PassageId(name) for name in "abcd")
    assert fused([a, b, c], [b, d]) == [b, a, d, c]
    assert fused([], [a]) == [a]


async def test_a_search_without_words_gives_the_newest_and_asks_no_model(desk: Desk) -> None:
    await desk.note("aaa")
    await desk.note("bbb")
    assert await desk.found(" ") == ["bbb", "aaa"]
    assert desk.model.asked == []
    with pytest.raises(InvalidRequest) as refused:
        await desk.found(" ", MEANING)
    assert list(refused.value.fields) == ["query"]


async def test_keeping_a_note_asks_no_model_and_each_is_asked_about_once(desk: Desk) -> None:
    await desk.note("aaa")
    await desk.note("bbb")
    assert desk.model.asked == []
    await desk.found("b", MEANING)
    await desk.found("a", MEANING)
    assert desk.model.asked == [("b",), ("aaa", "bbb"), ("a",)]


async def test_a_note_is_read_and_listed_as_it_was_kept(desk: Desk) -> None:
    note = await desk.note("aaa", "x", "y", "x")
    assert note.tags == ("x", "y")
    assert await desk.archive.get(desk.agent.id, note.id) == note
    assert (await desk.archive.list(desk.agent.id, PageRequest(), tags=["X"])).items == (note,)


async def test_a_changed_note_is_found_by_what_it_means_now(desk: Desk) -> None:
    note = await desk.note("aaa")
    await desk.note("ab")
    assert await desk.found("a", MEANING) == ["aaa", "ab"]
    await desk.archive.update(desk.agent.id, note.id, {"text": "bbb"})
    assert await desk.found("a", MEANING) == ["ab", "bbb"]
    await desk.archive.delete(desk.agent.id, note.id)
    assert await desk.found("a", MEANING) == ["ab"]


async def test_many_notes_are_taken_in_batches_and_long_ones_by_their_beginnings(desk: Desk) -> None:
    for number in range(70):
        await desk.note(f"note {number}")
    await desk.note("a" * 20_000)
    assert (await desk.found("a", MEANING, limit=1))[0].startswith("aaa")
    assert [len(texts) for texts in desk.model.asked] == [1, 64, 7]
    assert max(len(text) for texts in desk.model.asked for text in texts) == 5_000


async def test_a_failing_model_is_passed_over_and_asked_again_after_a_pause(desk: Desk) -> None:
    await desk.note("aaa")
    desk.model.fails = True
    assert await desk.found("aaa") == ["aaa"]
    assert await desk.found("aaa") == ["aaa"]
    assert len(desk.model.asked) == 1
    desk.model.fails = False
    desk.clock.advance(31)
    assert await desk.found("a") == ["aaa"]
    assert len(desk.model.asked) == 3


async def test_a_search_by_meaning_alone_says_that_the_model_fails(desk: Desk) -> None:
    desk.model.fails = True
    with pytest.raises(EmbeddingsFailed):
        await desk.found("a", MEANING)


async def test_a_search_by_meaning_waits_no_longer_than_its_patience(desk: Desk) -> None:
    desk.model.hangs = True
    archive = desk.with_vectors(desk.database.passage_vectors, patience_seconds=0)
    with pytest.raises(EmbeddingsFailed, match="in time"):
        await archive.search(desk.agent.id, "a", (), 10, MEANING)


async def test_notes_that_are_not_ready_yet_hold_up_no_search(desk: Desk) -> None:
    note = await desk.note("aaa")
    await desk.database.passage_vectors.add(desk.model.handle, [(note, (1.0, 0.0))])
    await desk.note("aab")
    desk.model.hangs_on_notes = True
    archive = desk.with_vectors(desk.database.passage_vectors, patience_seconds=0.05)
    assert await archive.search(desk.agent.id, "a", (), 10, MEANING) == (note,)


async def test_a_model_that_is_slow_takes_in_many_notes_search_by_search(desk: Desk) -> None:
    for number in range(70):
        await desk.note(f"note {number}")
    desk.model.most = 20
    archive = desk.with_vectors(desk.database.passage_vectors, patience_seconds=0)
    for _ in range(10):
        await archive.search(desk.agent.id, "a", (), 10, MEANING)
    assert await desk.database.passage_vectors.missing(desk.agent.id, desk.model.handle, 1) == ()
    desk.model.most = 100
    for number in range(200):
        await desk.note(f"more {number}")
    desk.model.asked.clear()
    await archive.search(desk.agent.id, "a", (), 10, MEANING)
    assert max(map(len, desk.model.asked)) == 64


async def test_a_note_that_the_model_refuses_holds_up_no_other(desk: Desk) -> None:
    desk.model.longest = 5
    await desk.note("a long one")
    await desk.note("aaa")
    assert await desk.found("a", MEANING) == ["aaa"]
    assert await desk.found("long") == ["a long one", "aaa"]
    asked = len(desk.model.asked)
    await desk.found("a", MEANING)
    assert len(desk.model.asked) == asked + 1
    with pytest.raises(EmbeddingsFailed, match="refused the query"):
        await desk.found("a long query", MEANING)


async def test_a_note_that_the_model_refuses_is_logged_once(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.model.longest = 5
    long = await desk.note("a long one")
    for _ in range(2):
        await desk.found("a", MEANING)
    assert [record.getMessage() for record in caplog.records] == [
        f"a note is found by its words alone: test/letters refuses {long.id}: too long"
    ]
    assert "a long one" not in caplog.text


async def test_a_note_that_the_model_fails_at_holds_up_no_other(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.note("aaaa")
    desk.model.fails_at = "aab odd"
    odd = await desk.note("aab odd")
    await desk.note("ab")
    await desk.found("a", MEANING)
    assert await desk.found("a", MEANING) == ["aaaa", "ab"]
    assert await desk.found("odd", SearchMode.WORDS) == ["aab odd"]
    desk.model.asked.clear()
    await desk.found("a", MEANING)
    assert desk.model.asked == [("a",)]
    about = [text for record in caplog.records if odd.id in (text := record.getMessage())]
    assert about == [f"a note is found by its words alone for an hour: test/letters fails at {odd.id}: test fails (500)"]


async def test_a_note_that_the_model_failed_at_is_tried_again_after_an_hour(desk: Desk) -> None:
    desk.model.fails_at = "aab"
    await desk.note("aab")
    assert await desk.found("a", MEANING) == []
    desk.model.fails_at = "no such text"
    assert await desk.found("a", MEANING) == []
    desk.clock.advance(3601)
    assert await desk.found("a", MEANING) == ["aab"]


async def test_a_model_that_fails_at_everything_costs_no_note_its_meaning(desk: Desk) -> None:
    await desk.note("aaa")
    await desk.note("aab")
    desk.model.fails_from = 2
    assert await desk.found("a", MEANING) == []
    assert desk.model.asked == [("a",), ("aaa", "aab"), ("a",)]
    desk.model.fails_from = 1_000
    assert await desk.found("a", MEANING) == ["aaa", "aab"]


async def test_a_note_that_the_model_does_not_come_to_an_end_with_holds_up_no_other(desk: Desk) -> None:
    desk.model.hangs_at = "aab"
    await desk.note("aab")
    await desk.note("aaa")
    archive = desk.with_vectors(desk.database.passage_vectors, patience_seconds=0)
    for _ in range(7):
        assert await archive.search(desk.agent.id, "a", (), 10, MEANING) == ()
    assert [note.text for note in await archive.search(desk.agent.id, "a", (), 10, MEANING)] == ["aaa"]


async def test_a_note_that_goes_while_it_is_found_is_left_out(desk: Desk) -> None:
    gone, kept = await desk.note("aaa"), await desk.note("aab")

    await desk.found("a", MEANING)
    known = desk.database.passage_vectors

    class Forgetful(MemoryPassageVectors):
        """Vectors of notes of which one goes as soon as it is found."""

        async def nearest(
            self, agent_id: AgentId, model: str, vector: Sequence[float], tags: Sequence[str], limit: int
        ) -> tuple[PassageId, ...]:
            found = await known.nearest(agent_id, model, vector, tags, limit)
            await desk.archive.delete(agent_id, gone.id)
            return found

    archive = desk.with_vectors(Forgetful(MemoryState()))
    assert await archive.search(desk.agent.id, "a", (), 10, MEANING) == (kept,)


async def test_without_a_model_a_search_by_meaning_says_what_to_set(desk: Desk) -> None:
    passages = desk.database.passages
    archive = Archive(passages=passages, words=passages, clock=desk.clock)
    await desk.note("aaa")
    with pytest.raises(InvalidRequest, match="LETTA_GRPC_EMBEDDING_MODEL"):
        await archive.search(desk.agent.id, "aaa", (), 10, MEANING)
    assert [note.text for note in await archive.search(desk.agent.id, "aaa", (), 10)] == ["aaa"]
