"""What is sent of returns that are larger than a server takes."""

import json

import pytest

from letta_grpc.client import AsyncClient, answer_messages, tool_return
from letta_grpc.v1 import messages_pb2, runs_pb2

LIMIT = 1024 * 1024
LINES = tuple(f"line {number}" for number in range(200_000))
PICTURE = messages_pb2.ContentPart(image=messages_pb2.Image(media_type="image/png", data=b"x" * 700_000))


def sent(*returns: messages_pb2.ToolReturn) -> list[messages_pb2.ToolReturn]:
    (message,) = answer_messages({f"call-{number}": one for number, one in enumerate(returns)})
    assert message.tool_returns.ByteSize() <= LIMIT
    return list(message.tool_returns.returns)


def test_what_fits_is_sent_as_it_is() -> None:
    (one,) = sent(tool_return("x" * 1_000_000, stdout=("a", "")))
    assert (len(one.text), list(one.stdout)) == (1_000_000, ["a", ""])


@pytest.mark.parametrize("character", ["x", "é", "語", "😀"])
def test_a_text_is_cut_with_a_note_between_two_characters(character: str) -> None:
    (one,) = sent(tool_return(character * 1_100_000))
    shown, note = one.text.split("\n")
    assert set(shown) == {character}
    assert note == f"[cut: {len(shown)} of 1100000 characters are shown]"
    assert len(shown) > 250_000


def test_the_returns_of_one_answer_share_what_there_is() -> None:
    large, small, failed = sent(tool_return("x" * 2_000_000), tool_return("ok"), tool_return("y" * 2_000_000, failed=True))
    assert large.text.endswith("\n[cut: 130000 of 2000000 characters are shown]")
    assert small.text == "ok"
    assert (failed.text[:1], failed.status) == ("y", messages_pb2.TOOL_RETURN_STATUS_ERROR)
    assert [one.tool_call_id for one in (large, small, failed)] == ["call-0", "call-1", "call-2"]


def test_lines_are_kept_as_far_as_there_is_room_beside_the_text() -> None:
    (one,) = sent(tool_return("done", stdout=LINES, stderr=("oops", *LINES)))
    assert one.text == "done"
    *shown, note = one.stdout
    assert tuple(shown) == LINES[: len(shown)]
    assert note == f"[cut: {len(shown)} of 200000 lines are shown]"
    assert one.stderr[-1].startswith("[cut: ")


def test_a_content_is_kept_up_to_the_part_that_is_too_much() -> None:
    said = messages_pb2.ContentPart(text="look")
    (pictures,) = sent(tool_return(messages_pb2.Content(parts=[said, PICTURE, PICTURE])))
    *kept, note = pictures.content.parts
    assert kept == [said, PICTURE]
    assert note.text == "[cut: a picture is not shown]\n[cut: 2 of 3 parts are shown whole]"
    (texts,) = sent(tool_return(messages_pb2.Content(parts=[PICTURE, messages_pb2.ContentPart(text="x" * 600_000)])))
    assert texts.content.parts[1].text.startswith("xxx")
    assert texts.content.parts[1].text.endswith("of 600000 characters are shown]\n[cut: 1 of 2 parts are shown whole]")


async def test_a_turn_survives_a_tool_that_gives_too_much_and_its_model_is_told(server: str) -> None:
    def fetch() -> str:
        """Fetch it all."""
        return "x" * 1_100_000

    script = json.dumps([[{"tool_call": {"name": "fetch", "id": "a"}}], [{"text": "done"}]])
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script", include_base_tools=False)
        turn = client.turn(agent.id, script, tools=[fetch])
        assert (await turn.final()).state == runs_pb2.RUN_STATE_COMPLETED
    assert turn.so_far.tool_returns["a"].text.endswith("x\n[cut: 390000 of 1100000 characters are shown]")
