"""What a PassageStore promises."""
# ruff: noqa: S101 - assert is what a contract does

import pytest

from letta_grpc.domain.ids import new_agent_id
from letta_grpc.testing.stores.world import World


class PassageStoreContract:
    """What a PassageStore promises. A subclass gives the fixture `world`."""

    async def test_notes_are_found_by_their_words(self, world: World) -> None:
        """As they were stored, newest first; every word must be there, case ignored."""
        agent = await world.agent()
        tea, coffee = await world.note(agent, "Green TEA, no sugar", "drinks"), await world.note(agent, "Coffee with sugar")
        assert await world.passages.search(agent.id, "sugar", (), 10) == (coffee, tea)
        assert await world.passages.search(agent.id, "Sugar tea", (), 10) == (tea,)
        assert await world.passages.search(agent.id, "sugar milk", (), 10) == ()
        assert await world.passages.search(agent.id, "", (), 10) == (coffee, tea)
        assert await world.passages.search(agent.id, "sugar", (), 1) == (coffee,)

    async def test_tags_narrow_a_search(self, world: World) -> None:
        """All of them must be there as a whole, case ignored; the limit counts what is left."""
        agent = await world.agent()
        note = await world.note(agent, "tea", "Drinks", "hot")
        await world.note(agent, "tea", "drinks")
        await world.note(agent, "tea", "hotel", "drinks")
        assert await world.passages.search(agent.id, "tea", ("HOT", "drinks"), 1) == (note,)
        assert await world.passages.search(agent.id, "", ("ho",), 10) == ()
        assert await world.passages.search(agent.id, "milk", ("hot",), 10) == ()

    async def test_another_agents_notes_are_its_own(self, world: World) -> None:
        """An agent that there is not has none."""
        agent, other = await world.agent(), await world.agent()
        await world.note(other, "tea")
        assert await world.passages.search(agent.id, "tea", (), 10) == ()
        assert await world.passages.search(new_agent_id(), "", (), 10) == ()

    @pytest.mark.parametrize("sign", ["%", "_", "\\", "'", '"'])
    async def test_signs_stand_for_themselves(self, world: World, sign: str) -> None:
        """In words and in tags."""
        agent = await world.agent()
        note = await world.note(agent, f"a{sign}b", f"t{sign}u")
        await world.note(agent, "axb ab", "txu", "tu")
        assert await world.passages.search(agent.id, f"a{sign}b", (), 10) == (note,)
        assert await world.passages.search(agent.id, "", (f"t{sign}u",), 10) == (note,)
