"""Whatever comes in to a face: no 500, no hang. `LETTA_TEST_EXAMPLES=2000` tries so many of each."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect

from tests.support.faces import Faced, faced

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLES = settings(
    max_examples=int(os.environ.get("LETTA_TEST_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
)
ANY = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)
# The names that each face looks at, and values that fit at least one of them.
WORDS = st.sampled_from(
    ["user", "system", "assistant", "tool", "approval", "text", "function", "image_url", "json_schema", "one two", "4", ""]
)
FITTING = st.recursive(
    st.one_of(WORDS, SCALARS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "url",
                    "json_schema",
                    "schema",
                    "include_usage",
                    "otid",
                    "function",
                    "name",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=10,
)
BODIES = {
    "/stream": ["message", "chunk_size", "max_tokens_per_second", "agent_ids"],
    "/v1/chat/completions": [
        "messages",
        "stream",
        "stream_options",
        "n",
        "user",
        "metadata",
        "response_format",
        "tools",
        "tool_choice",
    ],
    "/v1/agents/{id}/messages": ["messages", "input", "max_steps", "streaming", "client_tools", "override_model"],
    "/v1/agents/{id}/messages/stream": ["messages", "input", "stream_tokens", "include_pings", "background"],
    "/v1/agents/": ["name", "model", "memory_blocks", "tools", "tags", "llm_config", "tool_rules", "metadata"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Faced, str]]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server, await server.agent()


@pytest.mark.parametrize("path", BODIES)
@EXAMPLES
@given(data=st.data())
async def test_any_body(server: tuple[Faced, str], path: str, data: st.DataObject) -> None:
    face, agent_id = server
    body = data.draw(st.one_of(ANY, st.dictionaries(st.sampled_from(BODIES[path]), st.one_of(FITTING, ANY), max_size=5)))
    if isinstance(body, dict):
        body |= {"agent_id": agent_id, "model": agent_id} if path != "/v1/agents/" else {}
    async with asyncio.timeout(20):
        answer = await face.http.post(path.format(id=agent_id), json=body)
    assert answer.status_code < 500, (body, answer.text)


@pytest.mark.parametrize("path", BODIES)
@EXAMPLES
@given(body=st.binary(max_size=40))
async def test_any_bytes_as_a_body(server: tuple[Faced, str], path: str, body: bytes) -> None:
    face, agent_id = server
    url = path.format(id=agent_id)
    answer = await face.http.post(url, content=body, headers={"content-type": "application/json"})
    assert answer.status_code < 500, answer.text


@EXAMPLES
@given(path=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#?"), max_size=20))
async def test_any_path_and_query(server: tuple[Faced, str], path: str) -> None:
    face, _ = server
    for below in ("/", "/v1/", "/v1/agents/", "/v1/models/", "/v1/runs/?after="):
        try:
            url = httpx2.URL(f"{face.url}{below}{path}")
        except httpx2.InvalidURL:
            continue
        answer = await face.http.get(url)
        assert answer.status_code < 500 or answer.status_code == 501, (url, answer.text)


@pytest.mark.parametrize("path", ["/ws/{id}", "/ws/nobody", "/chat"])
@EXAMPLES
@given(messages=st.lists(st.one_of(st.text(max_size=10), st.binary(max_size=10), ANY.map(json.dumps)), min_size=1, max_size=3))
async def test_any_messages_of_a_socket(server: tuple[Faced, str], path: str, messages: list[str | bytes]) -> None:
    face, agent_id = server
    url = face.url.replace("http://", "ws://") + path.format(id=agent_id)
    async with asyncio.timeout(20), connect(url, proxy=None) as socket:
        for message in messages:
            await socket.send(message)
        for _ in messages:
            while not is_last(json.loads(await socket.recv())):
                pass


def is_last(frame: dict[str, Any]) -> bool:
    return frame["type"] in {"done", "error"}
