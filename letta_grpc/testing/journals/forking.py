"""What `fork` promises, and `HistoryStore.whole`, which it copies from."""
# ruff: noqa: S101 - assert is what a contract does

from dataclasses import replace

import pytest

from letta_grpc.domain.agents import Conversation
from letta_grpc.domain.errors import AgentNotFound, ConversationNotFound
from letta_grpc.domain.events import ContextCompacted, RunFinished
from letta_grpc.domain.forking import Fork, WholeConversation, forked
from letta_grpc.domain.ids import MessageId, new_conversation_id
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunKind
from letta_grpc.ports.codec import EventCodec
from letta_grpc.testing.journals.scenes import events_of, kinds_of
from letta_grpc.testing.stores.world import World

_ALL = PageRequest(size=1000)


class ForkContract:
    """What `fork` promises."""

    async def test_all_that_is_stored_of_a_conversation_is_read_at_once(self, world: World) -> None:
        """Without a compaction nothing begins the context but the first message."""
        thread = await _talked(world)
        await world.turn(await world.conversation(await world.agents.get(thread.agent_id)), "other", "other")
        whole = await world.history.whole(thread.id)
        assert whole == WholeConversation(conversation=thread, messages=(await world.history.list(thread.id, _ALL)).items)
        with pytest.raises(ConversationNotFound):
            await world.history.whole(new_conversation_id())

    @pytest.mark.parametrize("keeps", [True, False])
    async def test_what_begins_a_compacted_context_is_read_too(self, world: World, keeps: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """The summary, and the first message that it kept."""
        thread = await _talked(world)
        summary, kept = await compacted(world, thread, keeps=keeps)
        whole = await world.history.whole(thread.id)
        assert (whole.summary_id, whole.kept_from) == (summary.id, kept)

    async def test_a_fork_is_stored_with_its_messages_and_their_run(self, world: World, codec: EventCodec) -> None:
        """As given, and as if the run had just ended."""
        thread = await _talked(world)
        fork = await _fork(world, thread)
        run = fork.ended.run
        assert await world.conversations.get(None, run.conversation_id) == fork.copy.conversation
        assert (await world.history.list(run.conversation_id, _ALL)).items == fork.copy.messages
        assert await world.history.of_run(run.id) == fork.copy.messages
        assert await world.runs.get(run.id) == replace(run, last_sequence_number=2)
        assert run.kind is RunKind.FORK
        assert await kinds_of(world.log, codec, run.id) == ["RunStarted", "RunFinished"]
        assert (await events_of(world.log, codec, run.id))[1].event == RunFinished(run)
        assert (await world.log.read(run.id, 0, 2**20)).ended
        assert [m.text for m in (await world.history.load(thread.id)).messages] == ["one", "first", "two", "second"]

    @pytest.mark.parametrize("keeps", [True, False])
    async def test_a_fork_has_the_context_of_its_source(self, world: World, keeps: bool) -> None:  # noqa: FBT001 - a parameter of the test
        """Word for word; what the provider had counted there is not known of the copy."""
        thread = await _talked(world)
        await compacted(world, thread, keeps=keeps)
        await world.turn(thread, "three", "third", context_tokens=9)
        fork = await _fork(world, thread)
        assert await world.history.whole(fork.ended.run.conversation_id) == fork.copy
        copied = await world.history.load(fork.ended.run.conversation_id)
        assert [m.text for m in copied.messages] == [m.text for m in (await world.history.load(thread.id)).messages]
        assert copied.reported_tokens is None

    async def test_a_fork_goes_on_by_itself(self, world: World) -> None:
        """What is said in one is not heard in the other, and a compaction of one changes nothing in the other."""
        thread = await _talked(world)
        fork = await _fork(world, thread)
        copy = await world.conversations.get(None, fork.ended.run.conversation_id)
        await world.turn(copy, "three", "third")
        await compacted(world, copy, keeps=False)
        await world.turn(thread, "four", "fourth")
        assert [m.text for m in (await world.history.load(copy.id)).messages] == ["In short."]
        assert [m.text for m in (await world.history.load(thread.id)).messages][-2:] == ["four", "fourth"]

    async def test_a_fork_outlives_its_source(self, world: World, codec: EventCodec) -> None:
        """Nothing of it belongs to the source or to a run of the source's."""
        agent = await world.agent()
        thread = await _talked(world, await world.conversation(agent))
        fork = await _fork(world, thread)
        await world.conversations.delete(thread.id)
        assert (await world.history.list(fork.ended.run.conversation_id, _ALL)).items == fork.copy.messages
        assert len(await kinds_of(world.log, codec, fork.ended.run.id)) == len(fork.ended.events)

    async def test_a_fork_is_found_by_its_words_and_deleted_with_all_that_it_has(self, world: World) -> None:
        """Like any other conversation."""
        thread = await _talked(world)
        fork = await _fork(world, thread)
        assert await world.found(fork.copy.conversation, "first") == ["first"]
        await world.conversations.delete(fork.copy.conversation.id)
        assert await world.history.of_run(fork.ended.run.id) == ()
        assert await world.found(thread, "first") == ["first"]

    async def test_nothing_is_stored_of_a_fork_whose_agent_is_gone(self, world: World) -> None:
        """Neither conversation nor messages nor run."""
        thread = await _talked(world)
        fork = _made(world, await world.history.whole(thread.id))
        await world.agents.delete(thread.agent_id)
        with pytest.raises(AgentNotFound):
            await world.journal.fork(fork)
        with pytest.raises(ConversationNotFound):
            await world.conversations.get(None, fork.copy.conversation.id)
        assert await world.history.of_run(fork.ended.run.id) == ()


async def _talked(world: World, thread: Conversation | None = None) -> Conversation:
    """Return a conversation of two turns."""
    thread = thread or await world.default(await world.agent())
    await world.turn(thread, "one", "first")
    await world.turn(thread, "two", "second")
    return thread


async def compacted(world: World, thread: Conversation, *, keeps: bool) -> tuple[Message, MessageId | None]:
    """Compact a conversation; return the summary, and the first message that stays behind it."""
    kept = (await world.history.list(thread.id, _ALL)).items[2].id if keeps else None
    claim = await world.start(thread)
    summary = replace(world.new_answer(claim, "In short."), role=Role.SUMMARY)
    await world.answer(
        claim, ContextCompacted(summary, kept, dropped_messages=2, tokens_before=9, tokens_after=5, by_model=True)
    )
    await world.finish(claim)
    return summary, kept


async def _fork(world: World, thread: Conversation) -> Fork:
    fork = _made(world, await world.history.whole(thread.id))
    await world.journal.fork(fork)
    return fork


def _made(world: World, source: WholeConversation) -> Fork:
    return forked(source, model="m/m", time=world.time(), title="copy")
