"""Copies of conversations in which something goes on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from letta_grpc.adapters.memory.history import MemoryHistoryStore
from letta_grpc.domain.errors import ApprovalPending, ConversationNotFound, InvalidRequest
from letta_grpc.domain.forking import WholeConversation
from letta_grpc.domain.ids import ConversationId, new_conversation_id
from letta_grpc.domain.messages import Role, ToolCall
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import Run, RunState
from letta_grpc.engine.conversations import Conversations
from letta_grpc.engine.starts import StartRequest
from tests.support.aside import ReadAside
from tests.support.engine import DirectedTools, Engine, call, end, engine, say
from tests.support.threads import threads_of
from tests.support.values import spec as plain_spec


@pytest.fixture
async def house() -> AsyncIterator[Engine]:
    async def echo(call: ToolCall) -> str:
        return call.arguments

    async with asyncio.timeout(10), engine(tools=DirectedTools({"risky": echo}, guarded={"risky"})) as running:
        yield running


@pytest.fixture
def threads(house: Engine) -> Conversations:
    return threads_of(house)


async def said(house: Engine, conversation_id: ConversationId) -> list[tuple[Role, str]]:
    messages = (await house.database.history.list(conversation_id, PageRequest())).items
    return [(message.role, message.text) for message in messages]


async def default(house: Engine) -> ConversationId:
    return (await house.database.conversations.get(house.agent.id, None)).id


async def ask(house: Engine, conversation_id: ConversationId, words: str) -> Run:
    request = StartRequest(agent_id=house.agent.id, conversation_id=conversation_id, request_id=None, spec=plain_spec(words))
    return end(await house.events((await house.runs.start(request)).id))


async def test_a_copy_remembers_what_was_said_and_goes_on_by_itself(house: Engine, threads: Conversations) -> None:
    await house.play(say("hi"), words="hello")
    copy = await threads.fork(await default(house), title="what if", up_to=None)
    house.model.turns += [say("in the copy")]
    assert (await ask(house, copy.id, "go on")).state is RunState.COMPLETED
    assert [message.text for message in house.model.asked[-1].messages] == ["hello", "hi", "go on"]
    assert await said(house, await default(house)) == [(Role.USER, "hello"), (Role.ASSISTANT, "hi")]
    assert copy.title == "what if"


async def test_a_copy_ends_where_it_is_told_to(house: Engine, threads: Conversations) -> None:
    await house.play(say("first"), words="one")
    await house.play(say("second"), words="two")
    source = await default(house)
    messages = (await house.database.history.list(source, PageRequest())).items
    copy = await threads.fork(source, title="", up_to=messages[1].id)
    assert await said(house, copy.id) == [(Role.USER, "one"), (Role.ASSISTANT, "first")]
    with pytest.raises(InvalidRequest):
        await threads.fork(copy.id, title="", up_to=messages[1].id)


async def test_a_copy_of_a_conversation_that_waits_does_not_wait(house: Engine, threads: Conversations) -> None:
    await house.play(call("risky"), words="hello")
    with pytest.raises(ApprovalPending):
        await house.start("and?")
    copy = await threads.fork(await default(house), title="", up_to=None)
    assert await said(house, copy.id) == [(Role.USER, "hello")]
    house.model.turns += [say("hi")]
    assert (await ask(house, copy.id, "well?")).state is RunState.COMPLETED
    with pytest.raises(ApprovalPending):
        await house.start("and now?")


async def test_a_busy_conversation_is_copied_as_far_as_it_is_stored(house: Engine, threads: Conversations) -> None:
    await house.play(say("first"), words="one")
    running = await house.start("two")
    copy = await threads.fork(running.conversation_id, title="", up_to=None)
    assert await said(house, copy.id) == [(Role.USER, "one"), (Role.ASSISTANT, "first"), (Role.USER, "two")]
    house.model.turns += [say("here")]
    assert (await ask(house, copy.id, "three")).state is RunState.COMPLETED
    await house.runs.cancel(running.id)
    await house.events(running.id)


async def test_only_a_conversation_that_is_there_can_be_copied(threads: Conversations) -> None:
    with pytest.raises(ConversationNotFound):
        await threads.fork(new_conversation_id(), title="", up_to=None)


class LongHistory(MemoryHistoryStore):
    """Conversations of which it takes a while to read all."""

    async def whole(self, conversation_id: ConversationId) -> WholeConversation:
        thread = await super().whole(conversation_id)
        return replace(thread, messages=ReadAside(thread.messages))


async def test_the_server_goes_on_while_a_conversation_is_copied(house: Engine) -> None:
    await house.play(say("hi"), words="hello")
    house.database.history = LongHistory(house.database.history._state)  # noqa: SLF001 - the same messages
    copy = await threads_of(house).fork(await default(house), title="", up_to=None)
    assert await said(house, copy.id) == [(Role.USER, "hello"), (Role.ASSISTANT, "hi")]
