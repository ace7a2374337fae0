"""What stores promise of a conversation whose context was compacted."""
# ruff: noqa: S101 - assert is what a contract does

from collections.abc import Sequence
from dataclasses import replace

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.events import ContextCompacted
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class CompactionContract:
    """What stores promise of a conversation whose context was compacted. A subclass gives the fixture `world`."""

    async def test_the_context_begins_with_the_summary_and_goes_on_with_what_was_kept(self, world: World) -> None:
        """And with what comes later. A claim is given the same."""
        thread, told = await _conversation(world)
        summary = await _compact(world, thread, told[2].id)
        expected = [summary.id, told[2].id, told[3].id]
        assert await _context_ids(world, thread) == [*expected, *await _ids_since(world, summary)]
        claim = await world.start(thread, "Go on.")
        assert claim.context is not None
        assert [m.id for m in claim.context.messages] == await _context_ids(world, thread)
        assert claim.context.messages[-1].text == "Go on."

    async def test_a_compaction_may_keep_nothing(self, world: World) -> None:
        """Then only what comes later stands behind the summary."""
        thread, _ = await _conversation(world)
        summary = await _compact(world, thread, None)
        assert await _context_ids(world, thread) == [summary.id]
        await world.turn(thread, "And now?", "Now this.")
        assert await _context_ids(world, thread) == [summary.id, *await _ids_since(world, summary)]

    async def test_a_later_summary_takes_the_place_of_the_one_before(self, world: World) -> None:
        """Also where what it keeps is older than that."""
        thread, told = await _conversation(world)
        first = await _compact(world, thread, told[1].id)
        second = await _compact(world, thread, told[3].id)
        shown = await _context_ids(world, thread)
        assert shown[:2] == [second.id, told[3].id]
        assert first.id not in shown
        third = await _compact(world, thread, None)
        assert await _context_ids(world, thread) == [third.id]

    async def test_what_left_the_context_stays_in_the_history(self, world: World) -> None:
        """With the summary at its place; it is of the run that wrote it."""
        thread, told = await _conversation(world)
        summary = await _compact(world, thread, None)
        messages = (await world.history.list(thread.id, _ALL)).items
        assert [message.id for message in messages[:4]] == [message.id for message in told]
        assert messages[-1] == summary
        assert (await world.history.of_run(summary.run_id))[-1] == summary
        assert await world.found(thread, "two") == [told[2].text]

    async def test_a_count_from_before_a_compaction_says_nothing_of_the_context(self, world: World) -> None:
        """Until a model has seen the new one."""
        thread = await world.default(await world.agent())
        await world.turn(thread, "hi", "hello", context_tokens=700)
        assert (await world.history.load(thread.id)).reported_tokens == 700  # noqa: PLR2004 - what the turn reported
        (kept, _) = (await world.history.load(thread.id)).messages
        await _compact(world, thread, kept.id)
        assert (await world.history.load(thread.id)).reported_tokens is None
        await world.turn(thread, "and?", "this", context_tokens=70)
        assert (await world.history.load(thread.id)).reported_tokens == 70  # noqa: PLR2004 - what the turn reported

    async def test_conversations_are_compacted_one_by_one(self, world: World) -> None:
        """Others keep their context."""
        thread, _ = await _conversation(world)
        other, told = await _conversation(world)
        await _compact(world, thread, None)
        assert await _context_ids(world, other) == [message.id for message in told]


async def _conversation(world: World) -> tuple[Conversation, Sequence[Message]]:
    """Return a conversation of two turns and its four messages."""
    thread = await world.default(await world.agent())
    await world.turn(thread, "one", "first")
    await world.turn(thread, "two", "second")
    return thread, (await world.history.list(thread.id, _ALL)).items


async def _compact(world: World, thread: Conversation, kept_from: MessageId | None) -> Message:
    """Compact a conversation, in a run without input; return the summary."""
    claim = await world.start(thread)
    summary = replace(world.new_answer(claim, "They counted."), role=Role.SUMMARY)
    compacted = ContextCompacted(summary, kept_from, dropped_messages=1, tokens_before=9, tokens_after=1, by_model=True)
    await world.answer(claim, compacted)
    await world.finish(claim)
    return summary


async def _context_ids(world: World, thread: Conversation) -> list[MessageId]:
    return [message.id for message in (await world.history.load(thread.id)).messages]


async def _ids_since(world: World, summary: Message) -> list[MessageId]:
    """Return the messages that came behind a summary."""
    conversation_id = (await world.runs.get(summary.run_id)).conversation_id
    ids = [message.id for message in (await world.history.list(conversation_id, _ALL)).items]
    return ids[ids.index(summary.id) + 1 :]
