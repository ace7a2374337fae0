"""What a PassageStore, a PassageSearch and PassageVectors promise."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.errors import AgentNotFound, PassageNotFound
from letta_grpc.domain.ids import new_agent_id, new_passage_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.testing.stores.world import World

_ALL = PageRequest()


class PassageStoreContract:
    """What a PassageStore promises. A subclass gives the fixture `world`."""

    async def test_a_note_is_read_as_it_was_written(self, world: World) -> None:
        """By a run or from outside."""
        agent = await world.agent()
        by_run = await world.note(agent, "one\nÜ 🍵", "a", "B")
        from_outside = await world.passages.create(world.new_note(agent, "two"))
        assert await world.passages.get(agent.id, by_run.id) == by_run
        assert (await world.passages.list(agent.id, _ALL)).items == (by_run, from_outside)

    async def test_notes_are_paged_in_the_order_of_creation(self, world: World) -> None:
        """From either end; tags narrow, case ignored, all of them."""
        agent = await world.agent()
        notes = [await world.note(agent, f"note {n}", "even" if n % 2 == 0 else "Odd", f"n{n}") for n in range(6)]
        first = await world.passages.list(agent.id, PageRequest(size=2), tags=["ODD"])
        assert first.items == (notes[1], notes[3])
        assert (await world.passages.list(agent.id, PageRequest(size=2, after=first.next), tags=["odd"])).items == (notes[5],)
        assert (await world.passages.list(agent.id, PageRequest(size=2, descending=True))).items == (notes[5], notes[4])
        assert (await world.passages.list(agent.id, _ALL, tags=["odd", "N3"])).items == (notes[3],)

    async def test_a_blank_tag_is_had_by_notes_with_a_blank_tag(self, world: World) -> None:
        """However wide, alone or beside others; not by one of several tags, nor by one of none."""
        agent = await world.agent()
        alone, first = await world.note(agent, "alone", " "), await world.note(agent, "first", "  ", "a")
        between = await world.note(agent, "between", "a", "\n", "b")
        for tags in ((), ("a",), ("a", "b")):
            await world.note(agent, "without", *tags)
        for sought in (" ", "\t "):
            assert (await world.passages.list(agent.id, _ALL, tags=[sought])).items == (alone, first, between)
        assert await world.notes.search(agent.id, "", ("b", " "), 10) == (between,)

    async def test_an_update_sets_what_it_names(self, world: World) -> None:
        """Search finds what stands there now, and not what stood there."""
        agent = await world.agent()
        note, after = await world.note(agent, "green tea", "drinks"), await world.note(agent, "coffee")
        assert await world.notes.search(agent.id, "tea", (), 10) == (note,)
        time = world.time()
        changed = await world.passages.update(agent.id, note.id, {"text": "black coffee"}, time)
        assert changed == replace(note, text="black coffee", update_time=time)
        assert await world.notes.search(agent.id, "tea", (), 10) == ()
        assert set(await world.notes.search(agent.id, "coffee", (), 10)) == {after, changed}
        retagged = await world.passages.update(agent.id, note.id, {"tags": ("hot",)}, time)
        assert await world.notes.search(agent.id, "coffee", ("hot",), 10) == (retagged,)
        assert await world.passages.get(agent.id, note.id) == replace(changed, tags=("hot",))

    async def test_a_note_that_is_changed_before_the_first_search_is_found_as_it_is(self, world: World) -> None:
        """So are those around it."""
        agent = await world.agent()
        first, second, third = [await world.note(agent, f"tea {n}") for n in range(3)]
        changed = await world.passages.update(agent.id, second.id, {"text": "milk"}, second.update_time)
        assert await world.notes.search(agent.id, "tea", (), 10) == (third, first)
        assert await world.notes.search(agent.id, "milk", (), 10) == (changed,)

    async def test_a_deleted_note_is_gone(self, world: World) -> None:
        """From lists and searches."""
        agent = await world.agent()
        note, other = await world.note(agent, "tea"), await world.note(agent, "tea")
        assert await world.notes.search(agent.id, "tea", (), 10) == (other, note)
        await world.passages.delete(agent.id, note.id)
        assert await world.notes.search(agent.id, "tea", (), 10) == (other,)
        assert (await world.passages.list(agent.id, _ALL)).items == (other,)
        with pytest.raises(PassageNotFound):
            await world.passages.get(agent.id, note.id)

    async def test_what_is_unknown_is_not_found(self, world: World) -> None:
        """Another agent's note is unknown."""
        agent, other = await world.agent(), await world.agent()
        theirs = await world.note(other, "tea")
        for note_id in (theirs.id, new_passage_id()):
            for asked in (
                world.passages.get(agent.id, note_id),
                world.passages.update(agent.id, note_id, {"text": "mine"}, world.time()),
                world.passages.delete(agent.id, note_id),
            ):
                with pytest.raises(PassageNotFound):
                    await asked
        assert await world.passages.get(other.id, theirs.id) == theirs
        with pytest.raises(AgentNotFound):
            await world.passages.list(new_agent_id(), _ALL)
        with pytest.raises(AgentNotFound):
            await world.passages.create(replace(theirs, id=new_passage_id(), agent_id=new_agent_id()))


class PassageSearchContract:
    """What a PassageSearch by words promises; `SearchContract` says what a word is. A subclass gives the fixture `world`."""

    async def test_notes_are_found_by_their_words(self, world: World) -> None:
        """As they were stored; every word must be there, case ignored; no words find all, newest first."""
        agent = await world.agent()
        tea, coffee = await world.note(agent, "Green TEA, no sugar", "drinks"), await world.note(agent, "Coffee with sugar")
        assert set(await world.notes.search(agent.id, "sugar", (), 10)) == {coffee, tea}
        assert await world.notes.search(agent.id, "Sugar tea", (), 10) == (tea,)
        assert await world.notes.search(agent.id, "sugar milk", (), 10) == ()
        assert await world.notes.search(agent.id, "", (), 10) == (coffee, tea)
        assert await world.notes.search(agent.id, "sugar", (), 1) == (coffee,)
        assert await world.notes.search(agent.id, "?", (), 10) == ()

    async def test_tags_narrow_a_search(self, world: World) -> None:
        """All of them must be there as a whole, case ignored; the limit counts what is left."""
        agent = await world.agent()
        note = await world.note(agent, "tea", "Drinks", "hot")
        await world.note(agent, "tea", "drinks")
        await world.note(agent, "tea", "hotel", "drinks")
        assert await world.notes.search(agent.id, "tea", ("HOT", "drinks"), 1) == (note,)
        assert await world.notes.search(agent.id, "", ("ho",), 10) == ()
        assert await world.notes.search(agent.id, "milk", ("hot",), 10) == ()

    async def test_another_agents_notes_are_its_own(self, world: World) -> None:
        """An agent that does not exist has none."""
        agent, other = await world.agent(), await world.agent()
        await world.note(other, "tea")
        assert await world.notes.search(agent.id, "tea", (), 10) == ()
        assert await world.notes.search(new_agent_id(), "", (), 10) == ()

    @pytest.mark.parametrize("sign", ["%", "_", "\\", "'", '"', "\n"])
    async def test_signs_of_tags_stand_for_themselves(self, world: World, sign: str) -> None:
        """A tag is met as a whole."""
        agent = await world.agent()
        note = await world.note(agent, "a", f"t{sign}u")
        await world.note(agent, "b", "txu", "tu", "t", "u")
        assert await world.notes.search(agent.id, "", (f"t{sign}u",), 10) == (note,)


class PassageVectorsContract:
    """What PassageVectors promise. A subclass gives the fixture `world`."""

    async def test_what_has_no_vector_of_a_model_is_missing(self, world: World) -> None:
        """The oldest first, of one agent or of all; a changed text needs another vector."""
        agent, other = await world.agent(), await world.agent()
        first, theirs, second = await world.note(agent, "a"), await world.note(other, "b"), await world.note(agent, "c")
        assert await world.vectors.missing(None, "m/m", 10) == (first, theirs, second)
        assert await world.vectors.missing(agent.id, "m/m", 1) == (first,)
        await world.vectors.add("m/m", [(first, (1.0, 0.0)), (theirs, (0.0, 1.0))])
        assert await world.vectors.missing(None, "m/m", 10) == (second,)
        assert await world.vectors.missing(agent.id, "m/other", 10) == (first, second)
        changed = await world.passages.update(agent.id, first.id, {"text": "d"}, world.time())
        assert await world.vectors.missing(agent.id, "m/m", 10) == (changed, second)
        retagged = await world.passages.update(other.id, theirs.id, {"tags": ("t",)}, world.time())
        assert await world.vectors.nearest(other.id, "m/m", (0.0, 1.0), ("t",), 9) == (retagged.id,)

    async def test_the_nearest_by_angle_come_first(self, world: World) -> None:
        """However long a vector is; tags narrow; another agent's notes are its own."""
        agent, other = await world.agent(), await world.agent()
        east, north = await world.note(agent, "east", "x"), await world.note(agent, "north")
        between, theirs = await world.note(agent, "between", "x"), await world.note(other, "east")
        vectors = [(east, (9.0, 0.0)), (north, (0.0, 0.1)), (between, (5.0, 4.0)), (theirs, (1.0, 0.0))]
        await world.vectors.add("m/m", vectors)
        assert await world.vectors.nearest(agent.id, "m/m", (2.0, 0.1), (), 10) == (east.id, between.id, north.id)
        assert await world.vectors.nearest(agent.id, "m/m", (0.0, 1.0), ("X",), 1) == (between.id,)
        assert await world.vectors.nearest(agent.id, "m/other", (1.0, 0.0), (), 10) == ()
        assert await world.vectors.nearest(agent.id, "m/m", (1.0, 0.0, 0.0), (), 10) == ()

    async def test_a_vector_of_what_is_no_longer_so_is_dropped(self, world: World) -> None:
        """A note may change, or go, while its vector is made; a newer vector replaces an older one."""
        agent = await world.agent()
        changed, gone, kept = [await world.note(agent, text) for text in "abc"]
        await world.passages.update(agent.id, changed.id, {"text": "d"}, world.time())
        await world.passages.delete(agent.id, gone.id)
        await world.vectors.add("m/m", [(each, (1.0, 0.0)) for each in (changed, gone, kept)])
        assert await world.vectors.nearest(agent.id, "m/m", (1.0, 0.0), (), 10) == (kept.id,)
        await world.vectors.add("m/new", [(kept, (0.0, 0.0))])
        assert await world.vectors.nearest(agent.id, "m/m", (1.0, 0.0), (), 10) == ()
        assert await world.vectors.nearest(agent.id, "m/new", (1.0, 0.0), (), 10) == (kept.id,)
        await world.passages.delete(agent.id, kept.id)
        assert await world.vectors.nearest(agent.id, "m/new", (1.0, 0.0), (), 10) == ()
