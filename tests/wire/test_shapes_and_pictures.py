"""The shape of answers, and pictures, end to end."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from letta_grpc.testing.images import PNG
from letta_grpc.v1 import agent_service_pb2, messages_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of, talk
from tests.support.listening import listening
from tests.support.upstream import Upstream
from tests.support.wires import failure_of, fields_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

NUMBER = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


@requirement("shape_asked")
async def test_the_provider_is_asked_for_the_shape(wire: Wire, upstream: Upstream) -> None:
    one = await talk(wire, model="up/echo")
    run = run_of(await one.ask('{"n": 7}', response_format=NUMBER))
    assert run.state == runs_pb2.RUN_STATE_COMPLETED
    asked = (await upstream.state()).requests[-1]["body"]
    assert asked["response_format"]["json_schema"]["schema"] == json.loads(NUMBER)


@requirement("shape_failed")
async def test_an_answer_of_another_shape_is_repaired_or_fails(wire: Wire) -> None:
    one = await talk(wire, model="scripted/script")
    repaired = json.dumps([[{"text": "seven"}], [{"text": '{"n": 7}'}]])
    assert run_of(await one.ask(repaired, response_format=NUMBER)).state == runs_pb2.RUN_STATE_COMPLETED
    never = json.dumps([[{"text": "seven"}]] * 3)
    run = run_of(await one.ask(never, response_format=NUMBER))
    assert (run.state, run.error.reason) == (runs_pb2.RUN_STATE_FAILED, "INVALID_MODEL_OUTPUT")


def looking(url: str) -> messages_pb2.InputMessage:
    parts = [messages_pb2.ContentPart(text="What is it?"), messages_pb2.ContentPart(image=messages_pb2.Image(url=url))]
    return messages_pb2.InputMessage(user=messages_pb2.UserInput(content=messages_pb2.Content(parts=parts)))


@asynccontextmanager
async def gallery() -> AsyncIterator[str]:
    """The address of a picture."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + PNG)
        await writer.drain()

    async with listening(serve) as address:
        yield f"http://{address}/picture"


@requirement("picture_shown")
async def test_a_picture_is_fetched_stored_and_sent_to_the_model(wire: Wire, upstream: Upstream) -> None:
    one = await talk(wire, model="up/words-3")
    async with gallery() as url:
        request = run_service_pb2.ExecuteRunRequest(agent_id=one.agent_id, run=runs_pb2.RunSpec(messages=[looking(url)]))
        run = (await wire.runs.ExecuteRun(request)).run
    assert run.state == runs_pb2.RUN_STATE_COMPLETED
    stored = (await one.history())[0].content[1].image
    assert (stored.data, stored.media_type, stored.url) == (PNG, "image/png", "")
    sent = (await upstream.state()).requests[-1]["body"]["messages"][-1]["content"]
    assert [part["type"] for part in sent] == ["text", "image_url"]
    assert sent[1]["image_url"]["url"].startswith("data:image/png;base64,")


@requirement("picture_shown", "client_tools")
async def test_a_picture_that_a_clients_tool_returns_is_stored_and_sent_to_the_model(wire: Wire, upstream: Upstream) -> None:
    one = await talk(wire, model="scripted/script")
    camera = runs_pb2.ClientTool(name="camera", description="Takes a picture.")
    asked = run_of(await one.ask(json.dumps([[{"tool_call": {"id": "a", "name": "camera"}}]]), client_tools=[camera]))
    assert [action.tool_call_id for action in asked.pending_actions] == ["a"]
    request = run_service_pb2.ExecuteRunRequest(
        agent_id=one.agent_id, run=runs_pb2.RunSpec(messages=[taken("a")], model="up/words-3")
    )
    run = (await wire.runs.ExecuteRun(request)).run
    assert (run.state, run.resumes_run_id, run.model) == (runs_pb2.RUN_STATE_COMPLETED, asked.id, "up/words-3")
    listed = await wire.agents.ListMessages(agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id))
    (kept,) = [message for message in listed.messages if message.role == messages_pb2.ROLE_TOOL]
    (returned,) = kept.tool_returns
    assert [part.WhichOneof("kind") for part in returned.content.parts] == ["text", "image"]
    *_, shown, picture = (await upstream.state()).requests[-1]["body"]["messages"]
    assert (shown["role"], shown["tool_call_id"], "the garden" in shown["content"]) == ("tool", "a", True)
    assert picture["content"][-1]["image_url"]["url"] == f"data:image/png;base64,{b64encode(PNG).decode()}"


def taken(call_id: str) -> messages_pb2.InputMessage:
    parts = [
        messages_pb2.ContentPart(text="the garden"),
        messages_pb2.ContentPart(image=messages_pb2.Image(data=PNG, media_type="image/png")),
    ]
    returned = messages_pb2.ToolReturn(
        tool_call_id=call_id, status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS, content=messages_pb2.Content(parts=parts)
    )
    return messages_pb2.InputMessage(tool_returns=messages_pb2.ToolReturnsInput(returns=[returned]))


@requirement("picture_refused")
@pytest.mark.parametrize("data", [b"BM\x46\x00", b"<svg/>", b"a cat", b"\x89PNG"])
async def test_bytes_that_no_model_is_shown_refuse_the_start(wire: Wire, data: bytes) -> None:
    """What comes by an address is refused so, too; the model would be told that there is something it is not shown."""
    one = await talk(wire)
    seen, got = looking(""), taken("a")
    seen.user.content.parts[1].image.MergeFrom(messages_pb2.Image(data=data, media_type="image/png"))
    got.tool_returns.returns[0].content.parts[1].image.data = data
    for message, path in (
        (seen, "run.messages[0].user.content.parts[1].image.data"),
        (got, "run.messages[0].tool_returns.returns[0].content.parts[1].image.data"),
    ):
        request = run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=runs_pb2.RunSpec(messages=[message]))
        failure = await failure_of(wire.runs.CreateRun(request))
        assert fields_of(failure) == {path: "must be a PNG, JPEG, GIF or WebP picture: its bytes begin like none of them"}
    assert await one.history() == []


@requirement("picture_refused")
async def test_a_picture_that_is_not_there_refuses_the_start(wire: Wire) -> None:
    one = await talk(wire)
    async with gallery() as url:
        pass
    request = run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=runs_pb2.RunSpec(messages=[looking(url)]))
    failure = await failure_of(wire.runs.CreateRun(request))
    assert list(fields_of(failure)) == ["run.messages[0].user.content.parts[1].image.url"]
    assert await one.history() == []
