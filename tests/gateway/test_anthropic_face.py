"""Anthropic's Messages API, passed through with a memory."""

import asyncio
import json
import logging
from importlib import import_module
from pathlib import Path

import anthropic
import pytest

from letta_grpc.settings import Provider
from tests.requirements.registry import requirement
from tests.support.anthropic_proxy import HELLO, MESSAGES, captured, proxied
from tests.support.faces import Faced, faced


def sdk_of(server: Faced, max_retries: int = 2) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=f"{server.url}/v1/anthropic", api_key="sk-caller", max_retries=max_retries)


@requirement("anthropic_sdk", "anthropic_capture")
async def test_the_official_sdk_waits_for_an_answer_and_the_turn_is_captured(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake), sdk_of(server) as sdk:
        fake.says("Good day.")
        message = await sdk.messages.create(model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
        assert [block.text for block in message.content if block.type == "text"] == ["Good day."]
        assert await captured(server) == [("USER", "hello"), ("ASSISTANT", "Good day.")]
    (asked,) = fake.asked
    assert asked.line == "POST /v1/messages HTTP/1.1"
    # In this way the SDK shows its key.
    assert asked.headers["authorization"] == "Bearer sk-caller"
    assert asked.headers["anthropic-version"]
    assert asked.headers["host"] == fake.url.removeprefix("http://")
    assert json.loads(asked.body)["messages"] == HELLO


@requirement("anthropic_sdk", "anthropic_capture")
async def test_the_official_sdk_streams_and_the_turn_is_captured(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake), sdk_of(server) as sdk:
        fake.streams("Good ", "day.")
        async with sdk.messages.stream(
            model="claude-test", max_tokens=9, messages=[{"role": "user", "content": "hello"}]
        ) as stream:
            assert [text async for text in stream.text_stream] == ["Good ", "day."]
        assert await captured(server) == [("USER", "hello"), ("ASSISTANT", "Good day.")]


@requirement("anthropic_sdk")
async def test_the_official_sdk_raises_what_anthropic_says(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake), sdk_of(server, max_retries=0) as sdk:
        told = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
        fake.answers(529, b"content-type: application/json\r\nretry-after: 7\r\n", json.dumps(told).encode())
        with pytest.raises(anthropic.APIStatusError) as failed:
            await sdk.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hello"}])
    assert (failed.value.status_code, failed.value.response.headers["retry-after"]) == (529, "7")
    assert failed.value.body == told


@requirement("anthropic_bytes")
@pytest.mark.parametrize("form", ["whole", "stream", "error", "odd"])
async def test_status_headers_and_body_go_through_as_they_are(tmp_path: Path, form: str) -> None:
    async with proxied(tmp_path) as (server, fake):
        status = 200
        if form == "whole":
            body = fake.says("Good \u00e9 day.")
        elif form == "stream":
            body = fake.streams("Good ", "\u2028\n\n day.")
        else:
            status, body = (418, b"\x00\xff{") if form == "odd" else (400, b'{"type":"error"}')
            fake.answers(
                status, b"content-type: application/x-odd\r\nset-cookie: a=1\r\nset-cookie: b=2\r\nrequest-id: req_1\r\n", body
            )
        answer = await server.http.post(f"{MESSAGES}?beta=true", json={"messages": HELLO}, headers={"x-own": "1"})
        assert (answer.status_code, answer.content) == (status, body)
        assert answer.headers["request-id"] == "req_1"
        assert len(answer.headers.get_list("date")) == 1
        if form == "stream":
            assert answer.headers["anthropic-ratelimit-requests-remaining"] == "49"
        if form == "odd":
            assert answer.headers.get_list("set-cookie") == ["a=1", "b=2"]
        (asked,) = fake.asked
        assert asked.line == "POST /v1/messages?beta=true HTTP/1.1"
        assert (asked.headers["x-own"], asked.body) == ("1", b'{"messages":[{"role":"user","content":"hello"}]}')


@requirement("anthropic_bytes")
async def test_each_event_goes_through_before_the_next_is_there(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake):
        more = asyncio.Event()
        body = fake.streams("one", more, "two")
        async with server.http.stream("POST", MESSAGES, json={"messages": HELLO}) as answer:
            seen = b""
            async for piece in answer.aiter_raw():
                seen += piece
                if b'"one"' in seen:
                    assert b'"two"' not in seen or more.is_set()
                    more.set()
        assert seen == body


@pytest.fixture
def anthropics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upstream of a test is taken for Anthropic itself."""
    # By its full name: in its package the face's function has the module's.
    monkeypatch.setattr(import_module("letta_grpc.gateway.faces.anthropic"), "_ANTHROPICS_HOST", "127.0.0.1")


@requirement("anthropic_keys")
@pytest.mark.usefixtures("anthropics")
async def test_the_gateways_key_is_for_those_whom_the_server_knows(tmp_path: Path) -> None:
    async with proxied(tmp_path, key="sk-server", api_keys=("right",)) as (server, fake):
        fake.says("Good day.")
        for headers, status, key in (
            ({}, 401, None),
            ({"authorization": "Bearer wrong"}, 401, None),
            ({"authorization": "Bearer right"}, 200, "sk-server"),
            ({"authorization": "Bearer right", "x-api-key": "sk-own"}, 200, "sk-own"),
            # Their key is their own business.
            ({"x-api-key": "sk-own"}, 200, "sk-own"),
            ({"authorization": "Bearer sk-ant-oat01-x"}, 200, None),
        ):
            before = len(fake.asked)
            answer = await server.http.post(MESSAGES, json={"messages": HELLO}, headers=headers)
            assert answer.status_code == status, headers
            if status == 401:
                assert answer.json()["error"]["type"] == "authentication_error"
                assert len(fake.asked) == before
            else:
                asked = fake.asked[-1].headers
                assert asked.get("x-api-key") == key
                theirs = headers["authorization"] if "sk-ant" in headers.get("authorization", "") else None
                assert asked.get("authorization") == theirs


@requirement("anthropic_keys")
@pytest.mark.parametrize("key", [None, "sk-server"])
async def test_who_stands_in_for_anthropic_is_for_those_whom_the_server_knows(tmp_path: Path, key: str | None) -> None:
    async with proxied(tmp_path, key=key, api_keys=("right",)) as (server, fake):
        expected = fake.says("Good day.")
        strangers: list[dict[str, str]] = [
            {},
            {"x-api-key": "any"},
            {"authorization": "Bearer wrong"},
            {"authorization": "Bearer sk-ant-x"},
        ]
        for headers in strangers:
            for path in (MESSAGES, f"{MESSAGES}/count_tokens"):
                answer = await server.http.post(path, json={"messages": HELLO}, headers=headers)
                assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error"), headers
        assert not fake.asked
        for more, shown in (({}, key), ({"x-api-key": "sk-own"}, "sk-own")):
            headers = {"authorization": "Bearer right"} | more
            answer = await server.http.post(MESSAGES, json={"messages": HELLO}, headers=headers)
            assert (answer.status_code, answer.content) == (200, expected)
            assert fake.asked[-1].headers.get("x-api-key") == shown
            assert "authorization" not in fake.asked[-1].headers


@requirement("anthropic_keys")
@pytest.mark.usefixtures("anthropics")
async def test_nobody_without_any_key_is_passed_on_even_to_anthropic(tmp_path: Path) -> None:
    async with proxied(tmp_path, api_keys=("right",)) as (server, fake):
        answer = await server.http.post(MESSAGES, json={"messages": HELLO})
        assert answer.status_code == 401
    assert not fake.asked


@requirement("anthropic_keys")
@pytest.mark.usefixtures("anthropics")
async def test_a_long_prompt_of_who_has_a_key_of_their_own_goes_through(tmp_path: Path) -> None:
    async with proxied(tmp_path, api_keys=("right",)) as (server, fake):
        expected = fake.says("Good day.")
        prompt = [{"role": "user", "content": "x" * 100_000}]
        answer = await server.http.post(MESSAGES, json={"messages": prompt}, headers={"x-api-key": "sk-own"})
        assert (answer.status_code, answer.content) == (200, expected)


@requirement("anthropic_keys")
@pytest.mark.usefixtures("anthropics")
async def test_whom_the_server_does_not_know_have_so_much_room_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("letta_grpc.gateway.faces.anthropic"), "_STRANGERS_BYTES", 150_000)
    stranger, known = {"x-api-key": "sk-own"}, {"x-api-key": "sk-own", "authorization": "Bearer right"}
    asked = {"messages": [{"role": "user", "content": "x" * 100_000}]}
    async with proxied(tmp_path, api_keys=("right",)) as (server, fake):
        for _ in range(2):
            fake.streams("one", asyncio.Event(), "two")
            async with server.http.stream("POST", MESSAGES, json=asked, headers=stranger) as under_way:
                assert under_way.status_code == 200
                before = len(fake.asked)
                fake.says("Good day.")
                for headers, status in ((stranger, 529), (known, 200)):
                    answer = await server.http.post(MESSAGES, json=asked, headers=headers)
                    assert answer.status_code == status, answer.text
                    if status == 529:
                        assert answer.json()["error"]["type"] == "overloaded_error"
                        assert (answer.headers["retry-after"], len(fake.asked)) == ("5", before)
                assert (await server.http.post(MESSAGES, json={"messages": HELLO}, headers=stranger)).status_code == 200
            # Who has left makes room, as soon as the gateway sees it.
            while (await server.http.post(MESSAGES, json=asked, headers=stranger)).status_code != 200:
                pass


@requirement("anthropic_keys")
@pytest.mark.parametrize("api_keys", [(), ("right",)])
async def test_a_key_of_the_servers_own_never_leaves_it(tmp_path: Path, api_keys: tuple[str, ...]) -> None:
    async with proxied(tmp_path, api_keys=api_keys) as (server, fake):
        fake.says("Good day.")
        await server.http.post(MESSAGES, json={"messages": HELLO}, headers={"authorization": "Bearer right", "cookie": "a=b"})
    passed_on = fake.asked[0].headers
    assert passed_on.get("authorization") == (None if api_keys else "Bearer right")
    assert "cookie" not in passed_on


@requirement("anthropic_aside")
async def test_an_upstream_that_is_away_is_told_in_anthropics_form(tmp_path: Path) -> None:
    provider = Provider(base_url="http://127.0.0.1:9")
    async with faced(tmp_path, providers={"anthropic": provider}) as server:
        answer = await server.http.post(MESSAGES, json={"messages": HELLO})
        assert (answer.status_code, answer.json()["error"]["type"]) == (502, "api_error")


@requirement("anthropic_keys")
async def test_a_key_that_no_header_can_carry_is_not_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with proxied(tmp_path, key="sk-server\n") as (server, _):
        answer = await server.http.post(MESSAGES, json={"messages": HELLO})
        assert answer.status_code == 502
    (record,) = [record for record in caplog.records if record.message == "Anthropic's answer did not come"]
    assert "sk-server" not in str(vars(record))


@requirement("anthropic_aside")
@pytest.mark.usefixtures("anthropics")
async def test_a_server_that_refuses_the_capture_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with proxied(tmp_path, api_keys=("right",)) as (server, fake):
        expected = fake.says("Good day.")
        with caplog.at_level(logging.WARNING, "letta_grpc.gateway.faces.anthropic_capture"):
            answer = await server.http.post(MESSAGES, json={"messages": HELLO}, headers={"x-api-key": "sk-own"})
            assert answer.content == expected
            while not caplog.records:
                await server.http.get("/")
    assert [record.message for record in caplog.records] == ["a turn is not captured"]


@requirement("anthropic_strangers")
async def test_the_cookies_of_one_caller_are_not_anothers(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake):
        body = fake.says("Good day.")
        fake.answers(200, b"content-type: application/json\r\nset-cookie: session=one\r\n", body)
        answers = [await server.http.post(MESSAGES, json={"messages": HELLO}) for _ in range(2)]
        assert [answer.headers["set-cookie"] for answer in answers] == ["session=one"] * 2
        assert not any("cookie" in asked.headers for asked in fake.asked)


async def test_a_request_that_anthropic_takes_goes_through(tmp_path: Path) -> None:
    """Pictures of a conversation are sent again with each turn."""
    picture = "x" * 20 * 1024 * 1024
    async with proxied(tmp_path) as (server, fake):
        expected = fake.says("Good day.")
        answer = await server.http.post(MESSAGES, json={"messages": [{"role": "user", "content": picture}]})
        assert answer.content == expected
        refused = await server.http.post(MESSAGES, json={"messages": [{"role": "user", "content": picture * 2}]})
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "request_too_large")


async def test_an_operator_who_takes_small_requests_alone_takes_no_others_here(tmp_path: Path) -> None:
    async with proxied(tmp_path, max_message_bytes=2**16) as (server, fake):
        fake.says("Good day.")
        for size, status in ((100_000, 200), (200_000, 413)):
            answer = await server.http.post(MESSAGES, json={"messages": [{"role": "user", "content": "x" * size}]})
            assert answer.status_code == status
        assert (answer.json()["error"]["type"], len(fake.asked)) == ("request_too_large", 1)


@requirement("anthropic_aside")
async def test_who_leaves_ends_the_call_upstream(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake):
        fake.streams("one", asyncio.Event(), "two")
        async with server.http.stream("POST", MESSAGES, json={"messages": HELLO}) as answer:
            async for piece in answer.aiter_raw():
                if b"one" in piece:
                    break
        await fake.left.wait()


@pytest.mark.parametrize(("verb", "path"), [("POST", "messages"), ("GET", "v1/models"), ("GET", "v1/messages")])
async def test_what_is_not_passed_on_is_told_in_anthropics_form(tmp_path: Path, verb: str, path: str) -> None:
    """The first is what a program asks for that takes a base URL to end with /v1."""
    async with proxied(tmp_path) as (server, fake):
        answer = await server.http.request(verb, f"/v1/anthropic/{path}", json={"messages": HELLO})
        error = answer.json()["error"]
        assert (answer.status_code, answer.json()["type"], error["type"]) == (404, "error", "not_found_error")
        assert f"{verb} /v1/anthropic/{path} " in error["message"]
        assert "base URL" in error["message"]
        assert not fake.asked


async def test_counting_tokens_goes_through_and_is_no_turn(tmp_path: Path) -> None:
    async with proxied(tmp_path) as (server, fake):
        fake.answers(200, b"content-type: application/json\r\n", b'{"input_tokens": 3}')
        answer = await server.http.post(f"{MESSAGES}/count_tokens", json={"messages": HELLO})
        assert answer.json() == {"input_tokens": 3}
        assert fake.asked[0].line == "POST /v1/messages/count_tokens HTTP/1.1"
        fake.says("whole")
        await server.http.post(MESSAGES, json={"messages": HELLO})
        assert await captured(server) == [("USER", "hello"), ("ASSISTANT", "whole")]
