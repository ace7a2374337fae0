"""What the server finds wrong with a chat completion is told by the names that its caller gave things."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from letta_grpc.gateway.faces.openai.params import in_words_of_chat
from letta_grpc.gateway.failures import invalid, refused
from tests.requirements.registry import requirement
from tests.support.faces import Faced, faced

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
LONG = "x" * (1024 * 1024 + 1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


def said(content: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"role": "user", "content": content}


def returned(call_id: str, content: Any = "x") -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def tool(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"type": "function", "function": {"name": name} | more}


BMP = f"data:image/bmp;base64,{base64.b64encode(b'BM').decode()}"
ONE = {"type": "text", "text": "one"}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("b?")]}}


@requirement("openai_checks")
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": [said("")]}, "messages[-1].content"),
        ({"messages": [said("early"), said([])]}, "messages[-1].content"),
        ({"messages": [said([{"type": "text", "text": ""}])]}, "messages[-1].content[0].text"),
        ({"messages": [said([ONE, picture("ftp://x")])]}, "messages[-1].content[1].image_url.url"),
        ({"messages": [said([picture(BMP)])]}, "messages[-1].content[0].image_url.url"),
        ({"messages": [said("x"), returned("a"), returned("")]}, "messages[2].tool_call_id"),
        ({"messages": [returned("a"), returned("b", [picture("ftp://x")])]}, "messages[1].content[0].image_url.url"),
        ({"messages": [said("x"), returned("call_9")]}, "messages[1].tool_call_id"),
        ({"tools": [tool("a"), tool("b?")]}, "tools[1].function.name"),
        ({"tools": [tool("a"), tool("b?")], "tool_choice": ALLOWED}, "tools[1].function.name"),
        ({"tools": [tool("a"), tool("a")]}, "tools[0].function.name"),
        ({"tools": [tool(f"a{number}") for number in range(200)]}, "tools"),
        ({"tools": [tool("a", description=LONG)]}, "tools[0].function.description"),
        ({"tools": [tool("a", parameters={"type": "array"})]}, "tools[0].function.parameters"),
        ({"tool_choice": tool("nobody")}, "tool_choice"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": 7}}}},
            "response_format.json_schema.schema",
        ),
        ({"metadata": {f"key {number}": "" for number in range(100)}}, "metadata"),
    ],
)
async def test_a_field_has_the_name_that_its_caller_gave_it(
    server: Faced,
    change: dict[str, Any],
    param: str,
    is_stream: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    body = {"model": await server.agent(), "messages": [said("x")], "stream": is_stream} | change
    answer = await server.http.post(CHAT, json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "INVALID_REQUEST"), answer.text
    assert error["param"] == param
    assert error["message"].startswith(f"{param}: ")
    assert "run." not in error["message"]


@requirement("openai_checks")
async def test_returns_right_before_the_words_are_found_among_the_messages() -> None:
    body = {"model": "agent-x", "messages": [said("x"), returned("a"), returned("b"), said("and now?")]}
    told = in_words_of_chat(invalid({"run.messages[0].tool_returns.returns[1].text": "is wrong"}), body)
    assert (dict(told.broken), told.message) == ({"messages[2].content": "is wrong"}, "messages[2].content: is wrong")


async def test_what_the_caller_did_not_send_is_no_param_of_its_own() -> None:
    failure = refused("The options are wrong.", fields={"options.view": "is wrong"}, headers={"retry-after": "1"})
    told = in_words_of_chat(failure, {"messages": [said("x")]})
    assert (told.broken, told.message, told.headers) == ({}, failure.message, failure.headers)


async def test_a_failure_that_names_no_field_stays_as_it_is() -> None:
    failure = refused("busy", reason="CONVERSATION_BUSY")
    assert in_words_of_chat(failure, {"messages": [said("x")]}) is failure
