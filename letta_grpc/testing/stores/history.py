"""What a HistoryStore promises, but for search."""
# ruff: noqa: S101 - assert is what a contract does

import asyncio
from dataclasses import replace

import pytest

from letta_grpc.domain.approvals import ActionKind, PendingAction
from letta_grpc.domain.errors import ConversationNotFound, ResourceInUse
from letta_grpc.domain.events import ContextCompacted, MessageCompleted, RunFinished, StepStarted
from letta_grpc.domain.ids import new_agent_id, new_conversation_id, new_message_id, new_run_id, new_step_id
from letta_grpc.domain.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    Role,
    TextPart,
    ToolCall,
    ToolReturn,
    ToolReturnStatus,
)
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, RunState, StopReason
from letta_grpc.ports.journal import Claim, EditBlock, RecordStep
from letta_grpc.testing.stores.paging import check_pages, check_pages_by_id
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class HistoryStoreContract:
    """What a HistoryStore promises. A subclass gives the fixture `world`."""

    async def test_messages_are_read_as_they_were_stored(self, world: World) -> None:
        """Input with the run's ids, answers with every field, in the order of storing."""
        agent = await world.agent()
        thread = await world.conversation(agent)
        claim = await world.start(thread, "one", "two")
        step = world.new_step(claim)
        call = ToolCall(id="call_1", name="search", arguments='{"q": ', provider_id="1")
        asked = Message(
            id=new_message_id(),
            role=Role.ASSISTANT,
            content=(ReasoningPart("hm", "signed"), TextPart("I look."), ImagePart(media_type="image/png", data="aGk=")),
            tool_calls=(call,),
            name="ada",
            run_id=claim.run.id,
            step_id=step.id,
            model="m/m",
            create_time=world.time(),
        )
        returned = ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text="no", stdout=("o",), stderr=("e", ""))
        told = replace(asked, id=new_message_id(), role=Role.TOOL, content=(), tool_calls=(), tool_returns=(returned,))
        await world.answer(claim, StepStarted(step.id, 0, step.model), MessageCompleted(asked), MessageCompleted(told))
        messages = (await world.history.list(thread.id, _ALL)).items
        assert [(m.id, m.role, m.text, m.run_id, m.step_id) for m in messages[:2]] == [
            (id_, Role.USER, text, claim.run.id, None)
            for id_, text in zip(claim.run.input_message_ids, ("one", "two"), strict=True)
        ]
        assert messages[2:] == (asked, told)
        assert await world.history.of_run(claim.run.id) == messages
        assert (await world.history.load(thread.id)).messages == messages

    async def test_messages_are_read_page_by_page(self, world: World) -> None:
        """Both ways, those of this conversation alone."""
        agent = await world.agent()
        thread, default = await world.conversation(agent), await world.default(agent)
        for n in range(4):
            await world.turn(thread, f"say {n}", f"said {n}")
            await world.turn(default, "other", "other")
        messages = (await world.history.load(thread.id)).messages
        assert [m.text for m in messages] == [text for n in range(4) for text in (f"say {n}", f"said {n}")]
        await check_pages(lambda page: world.history.list(thread.id, page), messages)
        await check_pages_by_id(lambda page: world.history.list(thread.id, page), messages)

    async def test_messages_of_all_conversations_are_read_page_by_page(self, world: World) -> None:
        """In the order of storing, whichever of the agent's conversations they are in; no other agent's."""
        agent, other = await world.agent(), await world.agent()
        threads = [await world.default(agent), await world.conversation(agent), await world.conversation(agent)]
        for n in range(4):
            await world.turn(threads[n % 3], f"say {n}", f"said {n}")
            await world.turn(await world.default(other), "other", "other")
        loaded = [await world.history.load(thread.id) for thread in threads]
        found = {message.text: message for context in loaded for message in context.messages}
        messages = [found[text] for n in range(4) for text in (f"say {n}", f"said {n}")]
        await check_pages(lambda page: world.history.list_of_agent(agent.id, page), messages)
        await check_pages_by_id(lambda page: world.history.list_of_agent(agent.id, page), messages)
        assert (await world.history.list_of_agent(new_agent_id(), _ALL)).items == ()

    async def test_messages_are_listed_run_by_run(self, world: World) -> None:
        """Each run's are its own; an unknown run has none."""
        thread = await world.default(await world.agent())
        runs = [await world.turn(thread, f"say {n}", f"said {n}") for n in range(3)]
        assert [m.text for m in await world.history.of_run(runs[1].id)] == ["say 1", "said 1"]
        assert await world.history.of_run(new_run_id()) == ()

    async def test_the_input_of_a_run_that_waits_is_not_in_the_conversation(self, world: World) -> None:
        """It enters when the run starts."""
        thread = await world.default(await world.agent())
        await world.start(thread, "first")
        await world.start(thread, "later", conflict_policy=ConflictPolicy.ENQUEUE)
        assert [m.text for m in (await world.history.load(thread.id)).messages] == ["first"]

    async def test_a_context_has_agent_blocks_and_messages(self, world: World) -> None:
        """As the other stores give them, blocks in the order of attachment."""
        shared = await world.block("shared", "s")
        agent = await world.agent(world.new_block("own", "o"), shared, tools=("t",), tags=("x",))
        thread = await world.conversation(agent, model="m/other")
        await world.turn(thread, "hi", "hello")
        context = await world.history.load(thread.id)
        assert context.agent == agent
        assert context.conversation == thread
        assert context.messages == (await world.history.list(thread.id, _ALL)).items

    async def test_the_context_of_an_empty_conversation_is_empty(self, world: World) -> None:
        """No messages, no blocks, no count."""
        context = await world.history.load((await world.default(await world.agent())).id)
        assert (context.messages, context.agent.memory_blocks, context.reported_tokens) == ((), (), None)

    async def test_an_unknown_conversation_has_no_context(self, world: World) -> None:
        """Listing it gives nothing, loading it is an error."""
        with pytest.raises(ConversationNotFound):
            await world.history.load(new_conversation_id())
        assert (await world.history.list(new_conversation_id(), _ALL)).items == ()

    async def test_reported_tokens_are_those_of_the_newest_step(self, world: World) -> None:
        """Of this conversation; a step whose provider counted nothing does not hide an older count."""
        agent = await world.agent()
        thread, default = await world.conversation(agent), await world.default(agent)
        await world.turn(thread, "hi", "hello", context_tokens=10)
        assert (await world.history.load(thread.id)).reported_tokens == 10  # noqa: PLR2004 - as recorded
        claim = await world.start(thread, "more")
        for index, tokens in enumerate((30, 20)):
            await self._step(world, claim, index, tokens)
        await world.turn(default, "hi", "hello", context_tokens=99)
        await self._step(world, claim, 2, None)
        assert (await world.history.load(thread.id)).reported_tokens == 20  # noqa: PLR2004 - as recorded
        assert (await world.history.load((await world.conversation(agent)).id)).reported_tokens is None

    async def _step(self, world: World, claim: Claim, index: int, context_tokens: int | None) -> None:
        step = world.new_step(claim, index, context_tokens)
        answer = replace(world.new_answer(claim, "hm"), step_id=step.id)
        await world.answer(claim, MessageCompleted(answer))
        await world.answer(claim, changes=[RecordStep(step)])

    async def test_a_reset_empties_history_and_context_and_nothing_else(self, world: World) -> None:
        """Runs stay; what is said afterwards is all there is, also where older messages had left the context."""
        agent = await world.agent()
        thread, default = await world.conversation(agent), await world.default(agent)
        run = await world.turn(thread, "hi", "hello", context_tokens=10)
        claim = await world.start(thread, "more")
        summary = replace(world.new_answer(claim, "In short."), role=Role.SUMMARY)
        await world.answer(claim, _compacted(summary))
        await world.finish(claim)
        await world.turn(default, "hi", "hello")
        await world.history.reset(thread.id)
        emptied = await world.history.load(thread.id)
        assert (emptied.messages, emptied.reported_tokens) == ((), None)
        assert (await world.history.list(thread.id, _ALL)).items == ()
        assert (await world.runs.get(run.id)).id == run.id
        assert len((await world.history.list(default.id, _ALL)).items) == 2  # noqa: PLR2004 - said and answered
        await world.turn(thread, "again", "anew")
        assert [message.text for message in (await world.history.load(thread.id)).messages] == ["again", "anew"]

    async def test_a_page_from_before_a_reset_goes_on_with_what_is_said_after_it(self, world: World) -> None:
        """With all of it forwards, and with nothing backwards."""
        thread = await world.default(await world.agent())
        for _ in range(2):
            for n in range(2):
                await world.turn(thread, f"say {n}", f"said {n}")
            first = await world.history.list(thread.id, PageRequest(size=2))
            last = await world.history.list(thread.id, PageRequest(size=2, descending=True))
            await world.history.reset(thread.id)
            # Once more: there is nothing left to take a position from.
            await world.history.reset(thread.id)
            await world.turn(thread, "again", "anew")
            onwards = await world.history.list(thread.id, PageRequest(after=first.next))
            assert [message.text for message in onwards.items] == ["again", "anew"]
            assert (await world.history.list(thread.id, PageRequest(after=last.next, descending=True))).items == ()

    async def test_a_conversation_at_work_is_not_reset(self, world: World) -> None:
        """Its run would go on with half a history."""
        thread = await world.conversation(await world.agent())
        claim = await world.start(thread, "hi")
        with pytest.raises(ResourceInUse):
            await world.history.reset(thread.id)
        await world.finish(claim)
        await world.history.reset(thread.id)

    async def test_a_conversation_whose_calls_wait_is_not_reset(self, world: World) -> None:
        """Their answers would have nothing to belong to."""
        thread = await world.conversation(await world.agent())
        claim = await world.start(thread, "hi")
        call = ToolCall(id="call_1", name="search", arguments="{}")
        step = new_step_id()
        asked = replace(world.new_answer(claim, ""), role=Role.APPROVAL, tool_calls=(call,), step_id=step)
        action = PendingAction(
            tool_call_id=call.id,
            kind=ActionKind.APPROVAL,
            name=call.name,
            arguments=call.arguments,
            message_id=asked.id,
            step_id=step,
            expire_time=world.time(),
        )
        ended = replace(
            claim.run,
            state=RunState.INTERRUPTED,
            stop_reason=StopReason.REQUIRES_APPROVAL,
            pending_actions=(action,),
            end_time=world.time(),
        )
        await world.answer(claim, StepStarted(step, 0, "m/m"), MessageCompleted(asked), RunFinished(ended))
        with pytest.raises(ResourceInUse):
            await world.history.reset(thread.id)
        await world.journal.request_cancel(claim.run.id)
        await world.history.reset(thread.id)

    async def test_an_unknown_conversation_is_not_reset(self, world: World) -> None:
        """There is nothing to empty."""
        with pytest.raises(ConversationNotFound):
            await world.history.reset(new_conversation_id())

    async def test_a_context_is_of_one_moment(self, world: World) -> None:
        """Block and messages that were stored together are seen together, or not at all."""
        block = await world.block("count", "0")
        thread = await world.default(await world.agent(block))
        claim = await world.start(thread, "go")

        async def write() -> None:
            for n in range(1, 30):
                edit = EditBlock(block.id, n, str(n))
                await world.answer(claim, MessageCompleted(world.new_answer(claim, str(n))), changes=[edit])

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            writer = tasks.create_task(write())
            while not writer.done():
                context = await world.history.load(thread.id)
                newest = context.messages[-1].text if len(context.messages) > 1 else "0"
                assert context.agent.memory_blocks[0].value == newest
                # One turn of the loop: a store that answers at once must not keep the writer from its turn.
                await asyncio.sleep(0)


def _compacted(summary: Message) -> ContextCompacted:
    return ContextCompacted(
        summary=summary, kept_from=None, dropped_messages=2, tokens_before=20, tokens_after=10, by_model=False
    )
