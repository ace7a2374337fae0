"""What a StepStore promises."""
# ruff: noqa: S101 - assert is what a contract does

import pytest

from letta_grpc.domain.errors import StepNotFound
from letta_grpc.domain.ids import new_step_id
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import Step
from letta_grpc.ports.journal import Claim, RecordStep
from letta_grpc.testing.stores.paging import check_pages
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=100)


class StepStoreContract:
    """What a StepStore promises. A subclass gives the fixture `world`."""

    async def test_a_step_is_read_as_it_was_recorded(self, world: World) -> None:
        """By its id alone."""
        step = await _recorded(world, await world.start(await world.default(await world.agent()), "hi"))
        assert await world.steps.get(step.id) == step

    async def test_steps_are_listed_in_the_order_of_their_completion(self, world: World) -> None:
        """Those of an agent, or of all; also behind one that is named."""
        agent, other = await world.agent(), await world.agent()
        mine, theirs = await world.start(await world.default(agent), "hi"), await world.start(await world.default(other), "hi")
        first, second, third = [await _recorded(world, claim, index) for index, claim in enumerate((mine, theirs, mine))]
        await check_pages(world.steps.list, [first, second, third])
        await check_pages(lambda page: world.steps.list(page, agent.id), [first, third])
        behind = PageRequest(size=9, after_id=first.id)
        assert (await world.steps.list(behind)).items == (second, third)
        assert (await world.runs.list_steps(mine.run.id, behind)).items == (third,)
        assert (await world.steps.list(PageRequest(size=9, after_id=new_step_id()))).items == ()

    async def test_steps_are_gone_with_their_run(self, world: World) -> None:
        """Like those that never were."""
        claim = await world.start(await world.default(await world.agent()), "hi")
        step = await _recorded(world, claim)
        await world.finish(claim)
        await world.agents.delete(claim.run.agent_id)
        assert (await world.steps.list(_ALL)).items == ()
        for step_id in (step.id, new_step_id()):
            with pytest.raises(StepNotFound) as caught:
                await world.steps.get(step_id)
            assert caught.value.metadata == {"step_id": step_id}


async def _recorded(world: World, claim: Claim, index: int = 0) -> Step:
    step = world.new_step(claim, index)
    await world.answer(claim, changes=[RecordStep(step)])
    return step
