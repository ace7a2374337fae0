"""JSON of very many values, each of which takes time and memory, however small it is."""

import asyncio
import json
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from letta_grpc.gateway.aside import aside
from letta_grpc.gateway.bodies import read_json
from letta_grpc.gateway.faces.letta import blocks, core_memory, tools
from letta_grpc.gateway.faces.letta.agent_files import import_
from letta_grpc.gateway.faces.letta.agent_requests import changes, new_agent
from letta_grpc.gateway.faces.letta.files.reading import read_agent
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.starts import start_in
from letta_grpc.gateway.faces.letta.targets import Target
from letta_grpc.gateway.faces.openai.requests import ChatRequest, chat_request_of
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.reading import more_values_than
from letta_grpc.v1 import agents_pb2
from tests.support.faces import faced, frames_of
from tests.support.gateways import error_of, fields_in, made_up_gateway, reason_of

TEXTS = st.text(alphabet='\\\\",:[]{}a\u00e9', max_size=6)
VALUES = st.recursive(
    TEXTS | st.integers() | st.none(),
    lambda parts: st.lists(parts, min_size=1, max_size=4) | st.dictionaries(TEXTS, parts, min_size=1, max_size=4),
)


def count(value: Any) -> int:  # noqa: ANN401 - any JSON
    match value:
        case dict():
            return 1 + sum(map(count, value.values()))
        case list():
            return 1 + sum(map(count, value))
        case _:
            return 1


@given(value=VALUES, ascii_only=st.booleans())
def test_values_are_counted_as_json_has_them_whatever_strings_hold(value: Any, *, ascii_only: bool) -> None:  # noqa: ANN401 - any JSON
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert not more_values_than(text, count(value))
    assert count(value) == 1 or more_values_than(text, count(value) - 1)


@pytest.mark.parametrize("text", [b'"', b'"\\', b"[" * 9, b'["a', b"\\", b'\\"' * 9, b""])
def test_what_is_no_json_has_some_number_of_values(text: bytes) -> None:
    for limit in range(12):
        more_values_than(text, limit)


async def test_too_many_values_are_413_in_each_faces_own_form(tmp_path: Path) -> None:
    many = json.dumps({"tags": [0] * GatewayOptions().max_json_values})
    told = {}
    async with faced(tmp_path) as server:
        for path in ("/api/v1/agents", "/v1/agents/", "/v1/chat/completions", "/stream"):
            answer = await server.http.post(path, content=many, headers={"content-type": "application/json"})
            assert answer.status_code == 413, path
            told[path] = frames_of(answer.text)[0] if path == "/stream" else answer.json()
    message = "The JSON has more than 524288 values, which is as many as are allowed."
    assert told["/api/v1/agents"]["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert told["/v1/agents/"] == {"detail": message}
    assert told["/v1/chat/completions"]["error"]["message"] == message
    assert told["/stream"] == {"type": "error", "message": message, "reason": "MESSAGE_TOO_LARGE"}


async def test_an_agent_file_has_no_more_values_than_a_body_whichever_way_it_comes(tmp_path: Path) -> None:
    many = json.dumps({"agents": [0] * GatewayOptions().max_json_values})
    async with faced(tmp_path) as server:
        ways: list[dict[str, Any]] = [
            {"files": {"file": ("a.af", many)}},
            {"files": {"file": (None, many)}},
            {"json": {"file": many}},
        ]
        for sent in ways:
            answer = await server.http.post("/v1/agents/import", **sent)
            assert answer.status_code == 413, answer.text
            assert answer.json() == {"detail": "The JSON has more than 524288 values, which is as many as are allowed."}


async def test_a_long_text_is_one_value_whatever_it_holds(tmp_path: Path) -> None:
    text = '[{"a", ],' * 100_000
    async with faced(tmp_path) as server:
        answer = await server.http.post("/api/v1/agents", json={"agent": {"model": "scripted/echo", "description": text}})
    assert answer.status_code == 400
    assert list(fields_in(error_of(answer))) == ["agent.description"]


async def test_of_a_body_that_is_wrong_everywhere_the_first_complaints_are_told() -> None:
    async with made_up_gateway({}) as client:
        answer = await client.post("/api/v1/search", json={f"wrong{number}": 0 for number in range(1000)})
    assert (answer.status_code, reason_of(error_of(answer))) == (400, "INVALID_REQUEST")
    assert list(fields_in(error_of(answer))) == [f"wrong{number}" for number in range(50)]


async def test_others_go_on_while_a_large_body_is_read() -> None:
    content = json.dumps([""] * 100_000).encode()
    has_come, turns = False, 0

    async def receive() -> dict[str, Any]:
        nonlocal has_come
        has_come = True
        return {"type": "http.request", "body": content, "more_body": False}

    async def read() -> None:
        scope = {"headers": [(b"content-type", b"application/json")]}
        assert await read_json(scope, receive, GatewayOptions()) == [""] * 100_000

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        while not reading.done():
            await asyncio.sleep(0)
            turns += has_come
    assert turns > 1


async def test_what_is_small_needs_no_thread() -> None:
    here = threading.get_ident()
    assert await aside(100, threading.get_ident) == here
    assert await aside(100_000, threading.get_ident) != here


class Watched(dict[str, Any]):
    """A body that knows in which threads it was read."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__(body)
        self.threads: dict[str, set[int]] = defaultdict(set)

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - any JSON
        self.threads[name].add(threading.get_ident())
        return super().get(name, default)


@pytest.mark.parametrize("headers", [[(b"content-length", b"8000000")], [(b"transfer-encoding", b"chunked")]])
@pytest.mark.parametrize(
    ("work", "given"),
    [(new_agent, ()), (changes, (agents_pb2.Agent(),)), (start_in, (Target(agent_id="agent-x"),))],
)
async def test_others_go_on_while_what_a_large_body_of_lettas_says_is_made_out(
    work: Any,  # noqa: ANN401 - of several kinds
    given: tuple[object, ...],
    headers: list[tuple[bytes, bytes]],
) -> None:
    body = Watched({"model": "scripted/echo", "tool_rules": [], "messages": [{"role": "user", "content": "x"}]})
    ask = Ask(Request({"type": "http", "headers": headers}), cast("Any", None), body, ())
    await work(ask, *given)
    read = body.threads["client_tools" if work is start_in else "tool_rules"]
    assert read
    assert threading.get_ident() not in read


@pytest.mark.parametrize(
    ("work", "field"),
    [(work, "source_type") for work in (tools.create, tools.upsert, tools.update)]
    + [(work, "limit") for work in (blocks.create, blocks.update, core_memory.update_block)],
)
async def test_others_go_on_while_a_large_tool_or_block_of_lettas_is_made_out(
    work: Callable[[Ask], Awaitable[object]], field: str
) -> None:
    body = Watched({"label": "x", "value": "y", "source_code": "def x() -> str: ...", "description": "z"})
    ask = Ask(Request({"type": "http", "headers": [(b"content-length", b"8000000")]}), cast("Any", None), body, ())
    with pytest.raises((AttributeError, KeyError)):
        # There is no server to call, and no path.
        await work(ask)
    assert body.threads[field]
    assert threading.get_ident() not in body.threads[field]


async def test_others_go_on_while_a_large_agent_file_is_made_out() -> None:
    agent, body = Watched({"messages": []}), Watched({"file": "{}"})
    ask = Ask(Request({"type": "http", "headers": [(b"content-length", b"8000000")]}), cast("Any", None), body, ())
    await read_agent(ask, {"agents": [agent]}, 0, {}, "scripted/echo")
    with pytest.raises(AttributeError):
        # There is no server to call.
        await import_(ask)
    for read in (agent.threads["messages"], body.threads["file"]):
        assert read
        assert threading.get_ident() not in read


async def test_others_go_on_while_what_a_large_chat_completion_asks_for_is_made_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    def seen(*given: Any) -> ChatRequest:  # noqa: ANN401 - passed on
        threads.append(threading.get_ident())
        return chat_request_of(*given)

    monkeypatch.setattr(import_module("letta_grpc.gateway.faces.openai"), "chat_request_of", seen)
    async with faced(tmp_path) as server:
        agent_id = await server.agent()
        for size in (1, 20_000):
            messages = [{"role": "user", "content": "x" * size}]
            answer = await server.http.post("/v1/chat/completions", json={"model": agent_id, "messages": messages})
            assert answer.status_code == 200
    assert [thread == threading.get_ident() for thread in threads] == [True, False]
