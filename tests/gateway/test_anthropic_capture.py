"""What is kept of the calls that pass through to Anthropic."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest

from letta_grpc.gateway.application import gateway_app
from letta_grpc.gateway.faces.anthropic_capture import Gathered
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.serving import http_serving, listener_on
from letta_grpc.transport.calls import Calls
from letta_grpc.transport.local import LocalChannel
from letta_grpc.transport.methods import Call, UnaryMethod
from letta_grpc.v1 import agent_service_pb2, model_service_pb2
from tests.requirements.registry import requirement
from tests.support.anthropic_proxy import HELLO, MESSAGES, captured, proxied
from tests.support.anthropic_upstream import FakeAnthropic, fake_anthropic


@requirement("anthropic_aside")
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"messages": 3}', b'{"messages": [{"role": "user"}]}', b""])
async def test_what_cannot_be_captured_goes_through_all_the_same(
    tmp_path: Path, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with proxied(tmp_path) as (server, fake):
        expected = fake.says("Good day.")
        with caplog.at_level(logging.WARNING, "letta_grpc.gateway.faces.anthropic_capture"):
            for _ in range(2):
                answer = await server.http.post(MESSAGES, content=body)
                assert (answer.status_code, answer.content) == (200, expected)
            while not caplog.records:
                await server.http.get("/")
    assert fake.asked[0].body == body


@requirement("anthropic_aside")
async def test_a_capture_that_takes_its_time_holds_nothing_up() -> None:
    asked: list[agent_service_pb2.CaptureMessagesRequest] = []
    all_there, go_on = asyncio.Event(), asyncio.Event()

    async def capture(
        request: agent_service_pb2.CaptureMessagesRequest, _call: Call
    ) -> agent_service_pb2.CaptureMessagesResponse:
        asked.append(request)
        if len(asked) == 2:
            all_there.set()
        await go_on.wait()
        return agent_service_pb2.CaptureMessagesResponse()

    async def let_in(_request: model_service_pb2.ListProvidersRequest, _call: Call) -> model_service_pb2.ListProvidersResponse:
        return model_service_pb2.ListProvidersResponse()

    keep, ask = "letta_grpc.v1.AgentService/CaptureMessages", "letta_grpc.v1.ModelService/ListProviders"
    calls = Calls(
        {
            keep: UnaryMethod(name=keep, request=agent_service_pb2.CaptureMessagesRequest, answer=capture),
            ask: UnaryMethod(name=ask, request=model_service_pb2.ListProvidersRequest, answer=let_in),
        }
    )
    async with asyncio.timeout(20), fake_anthropic() as fake, LocalChannel(calls) as channel:
        options = GatewayOptions(anthropic_base_url=fake.url)
        limits = httpx2.Limits(max_connections=1)
        async with (
            http_serving(gateway_app(channel, options), listener_on("127.0.0.1:0"), options) as url,
            httpx2.AsyncClient(base_url=url, trust_env=False, limits=limits) as client,
        ):
            for message_id in ("msg_1", "msg_2"):
                expected = fake.says("Good day.", message_id=message_id)
                assert (await client.post(MESSAGES, json={"messages": HELLO})).content == expected
            await all_there.wait()
            go_on.set()
    assert [(list(request.user_texts), request.assistant_text, request.model) for request in asked] == [
        (["hello"], "Good day.", "claude-test")
    ] * 2
    assert len({request.request_id for request in asked}) == 2


@requirement("anthropic_aside")
async def test_an_answer_that_breaks_off_breaks_off_and_is_not_captured(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake):
        body = fake.streams("one", ends=False)
        seen = []

        async def read() -> None:
            async with server.http.stream("POST", MESSAGES, json={"messages": HELLO}) as answer:
                async for piece in answer.aiter_raw():
                    seen.append(piece)  # noqa: PERF401 - what has come before the break counts

        with pytest.raises(httpx2.RemoteProtocolError):
            await read()
        assert b"".join(seen) == body
        fake.says("whole")
        await server.http.post(MESSAGES, json={"messages": HELLO})
        assert await captured(server) == [("USER", "hello"), ("ASSISTANT", "whole")]


@requirement("anthropic_capture")
async def test_who_leaves_at_the_end_of_the_message_has_had_a_turn(tmp_path: Path) -> None:
    """Many read no further than its last event, and the bytes behind it may take a while."""
    async with proxied(tmp_path) as (server, fake):
        fake.streams("one ", "two")
        fake.pieces = [*fake.pieces[:-1], asyncio.Event()]
        async with server.http.stream("POST", MESSAGES, json={"messages": HELLO}) as answer:
            async for piece in answer.aiter_raw():
                if b"message_stop" in piece:
                    break
        assert await captured(server) == [("USER", "hello"), ("ASSISTANT", "one two")]


@requirement("anthropic_capture")
@pytest.mark.parametrize(
    ("messages", "texts"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}], ("c",)),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b"}]}], ("a", "b")),
        ([{"role": "user", "content": [{"type": "tool_result", "content": "x"}]}], ()),
        (
            [{"role": "user", "content": [{"type": "text", "text": "<system-reminder>x"}, {"type": "text", "text": "y"}]}],
            ("y",),
        ),
    ],
)
def test_the_users_words_are_those_behind_the_assistants_last(messages: list[Any], texts: tuple[str, ...]) -> None:
    fake = FakeAnthropic()
    gathered = Gathered(json.dumps({"messages": messages}).encode())
    gathered.begin(200, {b"content-type": b"application/json"})
    gathered.add(fake.says("Good day.", message_id="msg_7"))
    turn = gathered.turn()
    assert turn
    assert (turn.message_id, turn.model, turn.user_texts, turn.assistant_text) == ("msg_7", "claude-test", texts, "Good day.")


@requirement("anthropic_capture")
def test_a_character_that_was_cut_in_two_is_whole_again() -> None:
    """As JavaScript cuts texts, which counts halves of surrogate pairs; one without the other half is no character."""
    gathered = Gathered(json.dumps({"messages": [{"role": "user", "content": "\ud83d\ude00 \ud83d"}]}).encode())
    gathered.begin(200, {b"content-type": b"text/event-stream"})
    gathered.add(FakeAnthropic().streams("Well \ud83d", "\ude00!"))
    turn = gathered.turn()
    assert turn
    assert (turn.user_texts, turn.assistant_text) == (("😀 \ufffd",), "Well 😀!")


@pytest.mark.parametrize("cut", ["start", "middle", "amid a line"])
def test_a_stream_without_its_end_is_no_turn(cut: str) -> None:
    stream = FakeAnthropic().streams("one", "two")
    ends = {"start": 0, "middle": stream.index(b"event: message_stop"), "amid a line": stream.index(b"two")}
    gathered = Gathered(json.dumps({"messages": HELLO}).encode())
    gathered.begin(200, {b"content-type": b"text/event-stream"})
    gathered.add(stream[: ends[cut]])
    assert gathered.turn() is None
