from letta_grpc.domain.events import MessageCompleted, ToolReturned
from letta_grpc.domain.messages import ImagePart, Role, TextPart, ToolReturnStatus
from letta_grpc.domain.turns import REFUSAL, is_refusal
from letta_grpc.engine.return_limits import content_size, cut_content, text_in
from letta_grpc.ports.tools import ToolResult
from letta_grpc.transport.convert.codec import ProtoEventCodec
from tests.support.engine import Engine, call, engine, of, say
from tests.support.pictures import picture

BIG = picture(b"x" * 1_000_000)


async def with_tool(house: Engine, *parts: TextPart | ImagePart, text: str = "", status: ToolReturnStatus) -> None:
    async def play(_: object) -> ToolResult:
        return ToolResult(status=status, text=text or text_in(parts), content=parts)

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


def test_texts_share_their_limit_and_small_pictures_stay_whole() -> None:
    small = picture(b"x" * 40)
    kept = cut_content((TextPart("a" * 8), small, TextPart("b" * 8)), 10, 1000)
    assert kept[:2] == (TextPart("a" * 8), small)
    assert text_in(kept[2:]).startswith("bb\n[cut: 2 of 8")


def test_more_parts_than_there_is_room_for_are_counted() -> None:
    kept = cut_content([TextPart("x")] * 100, 1000, 40)
    assert kept[-1] == TextPart("[cut: 3 of 100 parts are shown]")
    assert content_size(kept[:-1]) <= 40 + 17
