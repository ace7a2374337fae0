import asyncio
from base64 import b64encode
from dataclasses import replace

import pytest

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.messages import (
    ApprovalInput,
    Approve,
    ImagePart,
    InputPart,
    ReturnsInput,
    Role,
    SpokenInput,
    TextPart,
    ToolCall,
)
from letta_grpc.domain.pictures import MAX_CONTENT_BYTES
from letta_grpc.domain.runs import RunSpec
from letta_grpc.testing.images import PNG
from tests.support.engine import DirectedTools, call, engine, say
from tests.support.pictures import Album, picture
from tests.support.values import returned


def look(*urls: str) -> RunSpec:
    """A user's message with pictures at these addresses."""
    parts: list[InputPart] = [TextPart("Look:"), *(ImagePart(url=url) for url in urls)]
    return RunSpec(messages=(SpokenInput(role=Role.USER, content=tuple(parts)),))


async def test_pictures_are_fetched_once_each_and_stored_in_place_of_their_addresses() -> None:
    album = Album({"http://a/1": PNG, "http://a/2": PNG + b"2"})
    async with engine(images=album) as house:
        house.model.turns += [say("Nice.")]
        run = await house.begin(look("http://a/1", "http://a/2", "http://a/1"))
        await house.events(run.id)
        assert sorted(album.fetched) == ["http://a/1", "http://a/2"]
        shown = house.model.asked[0].messages[0].content
        assert shown == (TextPart("Look:"), picture(), picture(PNG + b"2"), picture())


async def test_pictures_are_fetched_side_by_side() -> None:
    album = Album({"http://a/1": PNG, "http://a/2": PNG}, together=asyncio.Barrier(2))
    async with engine(images=album) as house, asyncio.timeout(5):
        house.model.turns += [say("Nice.")]
        run = await house.begin(look("http://a/1", "http://a/2"))
        await house.events(run.id)


async def test_a_repeated_request_fetches_nothing_and_finds_its_run() -> None:
    album = Album({"http://a/1": PNG})
    async with engine(images=album) as house:
        house.model.turns += [say("Nice.")]
        request_id = "5f0c9d2e-0000-4000-8000-000000000001"
        first = await house.begin(look("http://a/1"), request_id=request_id)
        await house.events(first.id)
        album.pictures.clear()
        again = await house.begin(look("http://a/1"), request_id=request_id)
        assert (again.id, album.fetched) == (first.id, ["http://a/1"])


async def test_each_picture_that_cannot_be_had_is_named_by_its_place() -> None:
    async with engine(images=Album({"http://a/1": PNG})) as house:
        with pytest.raises(InvalidRequest) as refused:
            await house.begin(look("http://a/1", "http://a/gone", "http://a/lost"))
        places = [f"run.messages[0].user.content.parts[{index}].image.url" for index in (2, 3)]
        assert refused.value.fields == dict.fromkeys(places, "it is not there")


async def test_a_message_whose_pictures_are_too_large_together_is_refused() -> None:
    half = PNG + b"x" * (MAX_CONTENT_BYTES // 2)
    async with engine(images=Album({"http://a/1": half, "http://a/2": half + b"y"})) as house:
        with pytest.raises(InvalidRequest) as refused:
            await house.begin(look("http://a/1", "http://a/2"))
        assert list(refused.value.fields) == ["run.messages[0]"]


async def test_a_start_names_so_many_pictures_and_no_more() -> None:
    album = Album()
    async with engine(images=album) as house:
        with pytest.raises(InvalidRequest):
            await house.begin(look(*(f"http://a/{number}" for number in range(17))))
        assert not album.fetched


async def test_pictures_with_their_data_are_fetched_from_nowhere() -> None:
    album = Album()
    async with engine(images=album) as house:
        house.model.turns += [say("Nice.")]
        sent = ImagePart(media_type="image/png", data=b64encode(PNG).decode())
        run = await house.begin(RunSpec(messages=(SpokenInput(role=Role.USER, content=(sent,)),)))
        await house.events(run.id)
        assert (house.model.asked[0].messages[0].content, album.fetched) == ((sent,), [])


async def test_what_a_client_gives_may_name_pictures_beside_decisions() -> None:
    async def echo(_call: ToolCall) -> str:
        return "done"

    tools = DirectedTools({"risky": echo}, guarded={"risky"})
    lookup = ToolDefinition(name="lookup", description="", parameters="{}")
    async with engine(images=Album({"http://a/1": PNG}), tools=tools) as house:
        await house.play(call("risky", "lookup"), client_tools=(lookup,))
        given = replace(returned("lookup-1"), content=(TextPart("There:"), ImagePart(url="http://a/1")))
        answer = (ApprovalInput(decisions=(Approve(tool_call_id="risky-0"),)), ReturnsInput(tool_returns=(given,)))
        house.model.turns += [say("Seen.")]
        await house.events((await house.begin(RunSpec(messages=answer))).id)
        (shown,) = [one for one in house.model.asked[-1].messages[-1].tool_returns if one.tool_call_id == "lookup-1"]
        assert shown.content == (TextPart("There:"), picture())
