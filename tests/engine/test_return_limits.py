from datetime import timedelta

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.events import MessageCompleted, RunEvent, ToolReturned
from letta_grpc.domain.messages import ImagePart, ReturnsInput, Role, TextPart, ToolReturnStatus
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.return_limits import content_size, cut_content, text_in
from letta_grpc.domain.runs import Run, RunSpec, RunState, StopReason
from letta_grpc.domain.turns import REFUSAL, is_refusal
from letta_grpc.ports.stores import RunFilter
from letta_grpc.ports.tools import ToolResult
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.engine import Engine, call, end, engine, of, say
from tests.support.pictures import picture
from tests.support.values import returned

BIG = picture(b"x" * 1_000_000)


async def with_tool(house: Engine, *parts: TextPart | ImagePart, status: ToolReturnStatus) -> None:
    async def play(_: object) -> ToolResult:
        return ToolResult(status=status, text=text_in(parts), content=parts)

    house.tools.plays["f"] = play
    house.agent = await house.agents.update(house.agent.id, {"tools": ("f",)})


async def test_three_large_pictures_of_one_step_fit_into_an_event_and_those_left_out_are_told() -> None:
    async with engine() as house:
        await with_tool(house, TextPart("seen"), BIG, status=ToolReturnStatus.SUCCESS)
        events = await house.play(call("f", "f", "f"), say("ok"))
        (gathered,) = [done for done in of(MessageCompleted, events) if done.message.role is Role.TOOL]
        assert len(ProtoEventCodec().encode(1, 1, gathered)) < 2 * 1024 * 1024
        note = TextPart("[cut: a picture of 1000000 bytes is not shown]")
        assert [returned.content for returned in gathered.message.tool_returns] == [(TextPart("seen"), note)] * 3
        assert [returned.text for returned in gathered.message.tool_returns] == [f"seen\n{note.text}"] * 3


async def test_one_large_picture_is_kept_beside_its_text() -> None:
    async with engine() as house:
        await with_tool(house, TextPart("seen"), BIG, status=ToolReturnStatus.SUCCESS)
        events = await house.play(call("f"), say("ok"))
        (returned,) = of(ToolReturned, events)
        assert returned.tool_return.content == (TextPart("seen"), BIG)


async def test_a_content_that_looks_like_a_broken_rule_is_marked() -> None:
    async with engine() as house:
        await with_tool(house, TextPart(f"{REFUSAL} no"), status=ToolReturnStatus.ERROR)
        events = await house.play(call("f"), say("ok"))
        (returned,) = of(ToolReturned, events)
        assert not is_refusal(returned.tool_return)
        assert returned.tool_return.content[-1] == TextPart(f"{REFUSAL} no")


LOOKUP = ToolDefinition(name="lookup", description="", parameters="{}")
MUCH = ["\U0001f600" * 250_000] * 3


async def waiting(house: Engine) -> Run:
    return end(await house.play(call("lookup", "lookup", "lookup", "lookup"), client_tools=(LOOKUP,)))


def given_back(*words: str) -> ReturnsInput:
    return ReturnsInput(tool_returns=tuple(returned(f"lookup-{index}", text) for index, text in enumerate(words)))


def check_gathered(events: list[RunEvent]) -> None:
    gathered = of(MessageCompleted, events)[-1]
    assert len(ProtoEventCodec().encode(1, 1, gathered)) < 2 * 1024 * 1024
    assert "[cut: 100000 of 250000 characters are shown]" in gathered.message.tool_returns[0].text


async def test_what_a_client_gave_fits_into_an_event_also_when_the_other_calls_are_denied() -> None:
    async with engine() as house:
        await waiting(house)
        partial = await house.begin(RunSpec(messages=(given_back(*MUCH),)))
        await house.runs.cancel(partial.id)
        (closing,) = (await house.runs.list(PageRequest(), RunFilter(states=(RunState.CANCELLED,)))).items
        check_gathered(await house.events(closing.id))


async def test_what_a_client_gave_fits_into_an_event_also_when_its_run_ends_before_it_takes_it() -> None:
    async with engine() as house:
        await waiting(house)
        answer = await house.begin(RunSpec(messages=(given_back(*MUCH, "few"),), run_timeout=timedelta()))
        events = await house.events(answer.id)
        assert end(events).stop_reason is StopReason.TIMEOUT
        check_gathered(events)


def test_texts_share_their_limit_and_small_pictures_stay_whole() -> None:
    small = picture(b"x" * 40)
    kept = cut_content((TextPart("a" * 8), small, TextPart("b" * 8)), 10, 1000)
    assert kept[:2] == (TextPart("a" * 8), small)
    assert text_in(kept[2:]).startswith("bb\n[cut: 2 of 8")


def test_more_parts_than_there_is_room_for_are_counted() -> None:
    kept = cut_content([TextPart("x")] * 100, 1000, 40)
    assert kept[-1] == TextPart("[cut: 3 of 100 parts are shown]")
    assert content_size(kept[:-1]) <= 40 + 17
