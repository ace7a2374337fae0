"""Long conversations: what leaves the context, what stands in its place, and what happens when that does not help."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from letta_grpc.domain.completions import FinishReason, ModelFinished, ModelRequest, ReasoningChunk, TextChunk, ToolCallChunk
from letta_grpc.domain.errors import ContextWindowExceeded, ModelOverloaded
from letta_grpc.domain.events import ContextCompacted, MessageCompleted, RunEvent, StepCompleted, StepRestarted, TextDelta
from letta_grpc.domain.ids import ConversationId
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import CompactionMode, RunKind, RunSpec, RunState, StopReason
from letta_grpc.domain.usage import Usage
from letta_grpc.engine.agents import NewAgent
from letta_grpc.ports.search import MessageQuery
from tests.domain.test_history import check_whole
from tests.requirements.registry import requirement
from tests.support.engine import DONE, DirectedModel, DirectedTools, Engine, Turn, call, end, engine, of, say

# About a hundred tokens.
WORDS = "blah " * 84
TOO_LONG = [ContextWindowExceeded()]


@pytest.fixture(autouse=True)
async def bounded() -> AsyncIterator[None]:
    async with asyncio.timeout(20):
        yield


@asynccontextmanager
async def small(tools: DirectedTools | None = None, **fields: int) -> AsyncIterator[Engine]:
    """An engine with an agent whose model takes a thousand tokens."""
    async with engine(tools=tools) as house:
        house.agent = await house.agents.create(NewAgent(model="test/known", system="Be kind.", tools=_names(tools), **fields))  # type: ignore[arg-type]  # any field
        yield house


def _names(tools: DirectedTools | None) -> tuple[str, ...]:
    return tuple(tools.plays) if tools else ()


async def talk(house: Engine, turns: int, words: str = WORDS) -> None:
    """Fill the context: each turn costs a little more than a hundred tokens."""
    for number in range(turns):
        await house.play(say(f"answer {number}"), words=f"question {number} {words}")


def shown(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages)


def counted(*words: str, context_tokens: int) -> Turn:
    return [[TextChunk(word)] for word in words] + [[ModelFinished(FinishReason.STOP, Usage(context_tokens=context_tokens))]]


async def history(house: Engine) -> tuple[Message, ...]:
    page = await house.agents.list_messages(house.agent.id, None, PageRequest(size=1000))
    return page.items


async def conversation(house: Engine) -> ConversationId:
    return (await house.database.conversations.get(house.agent.id, None)).id


async def compact(house: Engine, mode: CompactionMode = CompactionMode.SLIDING_WINDOW) -> list[RunEvent]:
    run = await house.begin(RunSpec(messages=(), kind=RunKind.COMPACTION, compaction=mode))
    return await house.events(run.id)


async def test_a_context_that_grows_too_long_is_compacted_before_the_model_is_asked() -> None:
    async with small() as house:
        await talk(house, 7)
        events = await house.play(say("They asked ", "a lot."), say("fine"), words=f"question 7 {WORDS}")
        (compacted,) = of(ContextCompacted, events)
        summarised, asked = house.model.asked[-2:]
        assert "question 0" in shown(summarised)
        assert summarised.system != asked.system
        assert not summarised.tools
        assert compacted.summary.text.endswith("They asked a lot.")
        assert asked.messages[0].text == compacted.summary.text
        assert "question 0" not in shown(asked)
        assert "question 7" in shown(asked)
        assert compacted.by_model
        assert compacted.summary.model == "test/known"
        assert compacted.tokens_before > 900
        assert compacted.tokens_after < 500
        # What the summariser says is no answer to anybody.
        assert [delta.text for delta in of(TextDelta, events)] == ["fine"]
        assert end(events).state is RunState.COMPLETED


async def test_compaction_takes_nothing_out_of_the_history() -> None:
    async with small() as house:
        await talk(house, 7)
        before = await history(house)
        events = await house.play(say("sum"), say("fine"), words=WORDS)
        after = await history(house)
        assert after[: len(before)] == before
        (compacted,) = of(ContextCompacted, events)
        assert [message.role for message in after[len(before) :]] == [Role.USER, Role.SUMMARY, Role.ASSISTANT]
        kept = [message.id for message in after].index(compacted.kept_from or after[0].id)
        assert compacted.dropped_messages == kept
        found = await house.database.messages.search(MessageQuery(agent_id=house.agent.id, text="question 0"))
        assert [each.message.text.split(" blah")[0] for each in found] == ["question 0"]


@requirement("complaint_20_long_histories")
async def test_what_a_conversation_loads_stays_bounded_however_long_it_grows() -> None:
    async with small() as house:
        house.model.turns += [say("sum or answer")] * 100
        for number in range(40):
            await house.events((await house.start(f"question {number} {WORDS}")).id)
            context = await house.database.history.load(await conversation(house))
            assert len(context.messages) < 20
        assert len(await history(house)) > 80
        assert all(len(shown(request)) < 4 * 1000 for request in house.model.asked)


async def test_the_earlier_summary_is_folded_into_the_next_one() -> None:
    async with small() as house:
        await talk(house, 7)
        await house.play(say("Ada likes tea."), say("fine"), words=WORDS)
        await talk(house, 5)
        (compacted,) = of(ContextCompacted, await house.play(say("Ada likes tea and more."), say("fine"), words=WORDS))
        assert "Earlier summary:\nAda likes tea.\n" in shown(house.model.asked[-2])
        texts = [message.text for message in house.model.asked[-1].messages]
        assert texts[0] == compacted.summary.text
        assert not any(text.endswith("Ada likes tea.") for text in texts)


async def test_what_the_provider_counted_decides_where_it_counts() -> None:
    async with small() as house:
        await talk(house, 3)
        assert not of(ContextCompacted, await house.play(counted("c", context_tokens=950), words="three"))
        (compacted,) = of(ContextCompacted, await house.play(say("sum"), counted("d", context_tokens=300), words="four"))
        assert compacted.tokens_before < 500
        assert not of(ContextCompacted, await house.play(say("e"), words="five"))


async def test_the_count_of_before_a_compaction_counts_no_more() -> None:
    async with small() as house:
        await talk(house, 3)
        await house.play(counted("c", context_tokens=950))
        assert of(ContextCompacted, await house.play(say("sum"), say("no count")))
        assert not of(ContextCompacted, await house.play(say("e")))


async def test_room_for_the_answer_that_was_asked_for_is_kept_free() -> None:
    async with small() as house:
        changes = {"model_settings": house.agent.model_settings.__class__(max_output_tokens=400)}
        await house.agents.update(house.agent.id, changes)
        await talk(house, 5)
        assert of(ContextCompacted, await house.play(say("sum"), say("fine"), words=WORDS))


async def test_a_context_that_the_provider_finds_too_long_is_compacted_in_the_same_step() -> None:
    async with small() as house:
        await talk(house, 4)
        events = await house.play(TOO_LONG, say("sum"), say("fine"))
        (compacted,) = of(ContextCompacted, events)
        assert compacted.by_model
        assert len(of(StepCompleted, events)) == 1
        assert end(events).state is RunState.COMPLETED
        assert house.model.asked[-1].messages[0].text == compacted.summary.text


async def test_less_and_less_is_kept_until_the_provider_takes_it() -> None:
    async with small() as house:
        await talk(house, 50, "short")
        events = await house.play(TOO_LONG, say("one"), TOO_LONG, say("two"), TOO_LONG, say("three"), say("fine"))
        compacted = of(ContextCompacted, events)
        assert [each.summary.text.split("\n\n")[1] for each in compacted] == ["one", "two", "three"]
        sizes = [len(request.messages) for request in house.model.asked[-7::2]]
        assert sizes == sorted(sizes, reverse=True)
        assert shown(house.model.asked[-1]).endswith("hello")
        assert end(events).state is RunState.COMPLETED


async def test_a_conversation_too_large_even_then_ends_the_run_and_the_next_run_works() -> None:
    async with small() as house:
        await talk(house, 2)
        events = await house.play(TOO_LONG, say("sum"), TOO_LONG, words="x" * 10_000)
        run = end(events)
        assert (run.state, run.stop_reason) == (RunState.FAILED, StopReason.CONTEXT_OVERFLOW)
        assert run.error
        assert run.error.reason == "CONTEXT_WINDOW_EXCEEDED"
        events = await house.play(say("Somebody sent a lot."), say("fine"), words="short")
        assert end(events).state is RunState.COMPLETED
        assert len(shown(house.model.asked[-1])) < 1000


@requirement("complaint_22_compaction")
@pytest.mark.parametrize("summary", [[ModelOverloaded()], say(""), [[ReasoningChunk("hm")], [DONE]], say("  \n ")])
async def test_without_a_summary_of_the_model_s_the_oldest_leave_all_the_same(summary: Turn) -> None:
    async with small() as house:
        await talk(house, 7)
        events = await house.play(summary, say("fine"), words=f"question 7 {WORDS}")
        (compacted,) = of(ContextCompacted, events)
        assert not compacted.by_model
        assert compacted.summary.model is None
        assert f"[{compacted.dropped_messages} older messages" in compacted.summary.text
        assert "conversation_search" in compacted.summary.text
        assert end(events).state is RunState.COMPLETED


async def test_the_summariser_s_own_input_is_cut_to_fit_and_cut_again_if_the_provider_finds_it_too_long() -> None:
    async with small() as house:
        await talk(house, 7)
        (compacted,) = of(ContextCompacted, await house.play(TOO_LONG, TOO_LONG, say("sum"), say("fine"), words=WORDS))
        sizes = [len(shown(request)) for request in house.model.asked[-4:-1]]
        assert sizes[0] <= 0.75 * 4000 + 100
        assert sizes[1] < sizes[0] / 2
        assert sizes[2] < sizes[1] / 2
        assert compacted.by_model


@requirement("complaint_22_compaction")
async def test_if_even_that_does_not_fit_the_summary_is_written_by_rule() -> None:
    async with small() as house:
        await talk(house, 7)
        (compacted,) = of(ContextCompacted, await house.play(*[TOO_LONG] * 3, say("fine"), words=WORDS))
        assert not compacted.by_model


async def test_a_summariser_that_does_not_stop_is_stopped() -> None:
    async with small() as house:
        await talk(house, 7)
        endless: Turn = [[TextChunk("x" * 500_000)], asyncio.Event()]
        (compacted,) = of(ContextCompacted, await house.play(endless, say("fine"), words=WORDS))
        assert len(compacted.summary.text) < 1000


class Measured(str):
    """A piece of text that counts how often all of its kind are asked for their length."""

    __slots__ = ()
    times = 0

    def __len__(self) -> int:
        Measured.times += 1
        return super().__len__()


async def test_a_summary_costs_no_more_the_longer_it_has_become() -> None:
    async with small() as house:
        await talk(house, 7)
        summary: Turn = [*([TextChunk(Measured("in short"))] for _ in range(1000)), [DONE]]
        (compacted,) = of(ContextCompacted, await house.play(summary, say("fine"), words=WORDS))
        assert compacted.by_model
        assert 0 < Measured.times < 5_000


async def test_what_a_summary_costs_is_in_the_usage_and_not_in_the_length_of_the_context() -> None:
    async with small() as house:
        await talk(house, 7)
        summary: Turn = [
            [TextChunk("sum"), ModelFinished(FinishReason.STOP, Usage(total_tokens=700, context_tokens=700, step_count=1))]
        ]
        answer: Turn = [[TextChunk("yes"), ModelFinished(FinishReason.STOP, Usage(total_tokens=300, context_tokens=300))]]
        usage = end(await house.play(summary, answer, words=WORDS)).usage
        assert (usage.total_tokens, usage.context_tokens, usage.step_count) == (1000, 300, 1)


async def test_a_context_whose_instructions_fill_the_window_is_not_compacted_at_each_step() -> None:
    async with small() as house:
        await house.agents.update(house.agent.id, {"system": "x" * 4000})
        await house.play(say("a"))
        assert not of(ContextCompacted, await house.play(say("b")))


async def look(_: object) -> str:
    return WORDS * 2


async def test_within_a_long_turn_no_call_is_ever_parted_from_its_return() -> None:
    async with small(DirectedTools({"look": look})) as house:
        turns: list[Turn] = []
        for number in range(12):
            chunk = ToolCallChunk(0, "call_0", "look", "{}")
            turns += [[[TextChunk(f"look {number}"), chunk], [ModelFinished(FinishReason.TOOL_CALLS)]]]
        house.model.turns += turns + [say("done")] * 12
        run = await house.start("Look around.")
        events = await house.events(run.id)
        assert end(events).state is RunState.COMPLETED
        assert of(ContextCompacted, events)
        for request in house.model.asked:
            check_whole(request.messages)


async def test_call_ids_stay_unique_in_a_conversation_also_when_older_ones_have_left_the_context() -> None:
    async with small(DirectedTools({"look": look})) as house:
        await house.play(call("look"), say("done"))
        await talk(house, 5)
        assert of(ContextCompacted, await house.play(say("sum"), say("fine"), words=WORDS))
        await house.play(call("look"), say("done"))
        first, second = (one for message in await history(house) for one in message.tool_calls)
        assert (first.id, second.provider_id) == ("look-0", "look-0")
        assert second.id != first.id


async def test_a_server_that_dies_between_compaction_and_answer_leaves_the_compacted_context_to_the_next() -> None:
    async with small() as first:
        await talk(first, 7)
        first.model.turns += [say("sum"), [[TextChunk("so f")], asyncio.Event()]]
        run = await first.start(WORDS)
        await first.model.reached.wait()
    first.clock.advance(31)
    model = DirectedModel([say("fine")])
    async with engine(database=first.database, clock=first.clock, agent=first.agent, model=model) as second:
        events = await second.events(run.id)
        assert end(events).state is RunState.COMPLETED
        assert len(of(ContextCompacted, events)) == len(of(StepRestarted, events)) == 1
        (asked,) = model.asked
        assert asked.messages[0].text.endswith("sum")
        check_whole(asked.messages)


async def test_a_server_that_dies_while_the_summary_is_written_has_changed_nothing() -> None:
    async with small() as first:
        await talk(first, 7)
        first.model.turns += [[[TextChunk("Ada")], asyncio.Event()]]
        run = await first.start(WORDS)
        await first.model.reached.wait()
    first.clock.advance(31)
    model = DirectedModel([say("sum"), say("fine")])
    async with engine(database=first.database, clock=first.clock, agent=first.agent, model=model) as second:
        events = await second.events(run.id)
        assert [compacted.summary.text.split("\n\n")[1] for compacted in of(ContextCompacted, events)] == ["sum"]
        assert end(events).state is RunState.COMPLETED


async def test_a_run_can_be_cancelled_while_its_summary_is_written() -> None:
    async with small() as house:
        await talk(house, 7)
        house.model.turns += [[[TextChunk("Ada")], asyncio.Event()]]
        run = await house.start(WORDS)
        await house.model.reached.wait()
        await house.runs.cancel(run.id)
        events = await house.events(run.id)
        assert end(events).state is RunState.CANCELLED
        assert not of(ContextCompacted, events)


async def test_a_caller_can_have_a_conversation_compacted() -> None:
    async with small() as house:
        await talk(house, 4)
        house.model.turns += [say("sum")]
        events = await compact(house)
        (compacted,) = of(ContextCompacted, events)
        run = end(events)
        assert (run.kind, run.state, run.stop_reason) == (RunKind.COMPACTION, RunState.COMPLETED, StopReason.END_TURN)
        assert compacted.kept_from
        assert not of(MessageCompleted, events)
        await house.play(say("fine"), words="and now?")
        assert shown(house.model.asked[-1]).split("\n\n", 1)[1].startswith("sum\nquestion")


async def test_all_of_it_can_be_put_into_the_summary() -> None:
    async with small() as house:
        await talk(house, 3)
        house.model.turns += [say("sum")]
        (compacted,) = of(ContextCompacted, await compact(house, CompactionMode.ALL))
        assert (compacted.kept_from, compacted.dropped_messages) == (None, 6)
        await house.play(say("fine"), words="and now?")
        assert [message.text for message in house.model.asked[-1].messages] == [compacted.summary.text, "and now?"]


async def test_where_there_is_nothing_to_compact_the_run_ends_without_asking_anybody() -> None:
    async with small() as house:
        events = await compact(house)
        assert end(events).state is RunState.COMPLETED
        assert not of(ContextCompacted, events)
        assert not house.model.asked


async def test_a_compaction_that_was_cut_by_a_crash_is_done_again() -> None:
    async with small() as first:
        await talk(first, 4)
        first.model.turns += [[[TextChunk("s")], asyncio.Event()]]
        run = await first.begin(RunSpec(messages=(), kind=RunKind.COMPACTION))
        await first.model.reached.wait()
    first.clock.advance(31)
    model = DirectedModel([say("sum")])
    async with engine(database=first.database, clock=first.clock, agent=first.agent, model=model) as second:
        events = await second.events(run.id)
        assert len(of(ContextCompacted, events)) == 1
        assert end(events).state is RunState.COMPLETED
