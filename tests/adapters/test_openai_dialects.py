# ruff: noqa: ANN401 - fields passed through by name
"""What refusals teach of how a model wants to be asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import ModelRequest
from letta_grpc.domain.errors import ModelBadRequest
from letta_grpc.domain.ids import MessageId, RunId
from letta_grpc.domain.messages import Message, ReasoningPart, Role, TextPart, ToolCall, ToolReturn, ToolReturnStatus
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.models import read_all, text_of, user_request
from tests.support.upstream import Upstream, running_upstream

Connect = Callable[..., OpenAIProvider]


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture
async def connect(server: Upstream) -> AsyncIterator[Connect]:
    await server.reset()
    opened: list[OpenAIProvider] = []

    def connect(name: str = "test") -> OpenAIProvider:
        endpoint = OpenAIEndpoint(name=name, base_url=server.base_url, api_key="k")
        opened.append(OpenAIProvider(endpoint, FakeClock()))
        return opened[-1]

    yield connect
    for provider in opened:
        await provider.close()


async def ask(provider: OpenAIProvider, model: str) -> str:
    return text_of(await read_all(provider.find(model), user_request("Hello you", model)))


def after_calls(model: str) -> ModelRequest:
    """Return a request behind two steps with calls, of which the model has thought before the first."""
    thought, called = (ReasoningPart("Let me "), TextPart("Well."), ReasoningPart("look.")), ("call_1", "aB3dE6gH9")
    messages = tuple(
        message
        for content, call_id in zip((thought, ()), called, strict=True)
        for message in (
            said(Role.ASSISTANT, content=content, tool_calls=(ToolCall(id=call_id, name="lookup", arguments="{}"),)),
            said(Role.TOOL, tool_returns=(ToolReturn(tool_call_id=call_id, status=ToolReturnStatus.SUCCESS, text="ok"),)),
        )
    )
    request = user_request("Look it up", model)
    return replace(request, messages=request.messages + messages)


def said(role: Role, **fields: Any) -> Message:
    return Message(
        id=MessageId("message-2"), role=role, run_id=RunId("run-1"), create_time=datetime(2030, 1, 1, tzinfo=UTC), **fields
    )


async def sent_messages(server: Upstream) -> list[list[Any]]:
    return [request["body"]["messages"] for request in (await server.state()).requests]


async def asked_for_usage(server: Upstream) -> list[bool]:
    return ["stream_options" in request["body"] for request in (await server.state()).requests]


async def test_a_model_without_stream_options_is_asked_without_them_from_then_on(server: Upstream, connect: Connect) -> None:
    provider = connect()
    assert await ask(provider, "no-stream-options") == "w0 w1 w2 "
    assert await ask(provider, "no-stream-options") == "w0 w1 w2 "
    assert await asked_for_usage(server) == [True, False, False]


async def test_what_one_model_refuses_others_are_still_asked(server: Upstream, connect: Connect) -> None:
    provider = connect()
    await ask(provider, "no-stream-options")
    await ask(provider, "words-3")
    assert await asked_for_usage(server) == [True, False, True]


async def test_calls_at_once_both_learn_to_go_without_stream_options(connect: Connect) -> None:
    provider = connect()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask(provider, "no-stream-options")) for _ in range(4)]
    assert {task.result() for task in tasks} == {"w0 w1 w2 "}


async def test_a_refusal_that_only_repeats_the_request_teaches_nothing(server: Upstream, connect: Connect) -> None:
    provider = connect()
    with pytest.raises(ModelBadRequest):
        await ask(provider, "repeats-two-requests")
    assert await ask(provider, "repeats-two-requests") == "w0 w1 w2 "
    assert await asked_for_usage(server) == [True, False, True]


async def test_no_dialect_is_tried_twice_in_one_call(server: Upstream, connect: Connect) -> None:
    with pytest.raises(ModelBadRequest):
        await ask(connect(), "repeats-request")
    assert await asked_for_usage(server) == [True, False]


async def test_reasoning_goes_back_beside_calls_to_a_model_that_wants_it(server: Upstream, connect: Connect) -> None:
    provider = connect()
    request = after_calls("wants-reasoning")
    for _ in range(2):
        assert text_of(await read_all(provider.find(request.model), request)) == "w0 w1 w2 "
    sent = await sent_messages(server)
    assert [[message.get("reasoning_content") for message in messages] for messages in sent] == [
        [None, None, None, None, None],
        [None, "Let me look.", None, "", None],
        [None, "Let me look.", None, "", None],
    ]
    assert await asked_for_usage(server) == [True, True, True]


async def test_ids_have_nine_characters_for_a_model_that_takes_no_others(server: Upstream, connect: Connect) -> None:
    provider = connect()
    request = after_calls("nine-character-ids")
    for _ in range(2):
        assert text_of(await read_all(provider.find(request.model), request)) == "w0 w1 w2 "
    _, first, second = await sent_messages(server)
    assert first == second
    _, call, returned, own_call, own_returned = first
    assert call["tool_calls"][0]["id"] == returned["tool_call_id"] != own_call["tool_calls"][0]["id"]
    # What is of that form already stays.
    assert own_call["tool_calls"][0]["id"] == own_returned["tool_call_id"] == "aB3dE6gH9"


LIMITS = ["max_tokens", "max_completion_tokens"]


@pytest.mark.parametrize("taken", LIMITS)
@pytest.mark.parametrize("name", ["openai", "test"])
async def test_the_limit_of_tokens_is_called_what_the_model_takes(
    server: Upstream, connect: Connect, name: str, taken: str
) -> None:
    provider = connect(name=name)
    for _ in range(2):
        assert text_of(await read_all(provider.find("m"), limited(f"takes-{taken}"))) == "w0 w1 w2 "
    usual = "max_completion_tokens" if name == "openai" else "max_tokens"
    assert await limits_sent(server) == [*([usual] if usual != taken else []), taken, taken]


@pytest.mark.parametrize("name", ["openai", "test"])
async def test_a_limit_that_is_too_large_is_not_sent_under_another_name(server: Upstream, connect: Connect, name: str) -> None:
    with pytest.raises(ModelBadRequest):
        await read_all(connect(name=name).find("m"), limited("too-large"))
    assert len(await limits_sent(server)) == 1


def limited(model: str) -> ModelRequest:
    return replace(user_request("x", model), settings=ModelSettings(max_output_tokens=9))


async def limits_sent(server: Upstream) -> list[str]:
    return [field for request in (await server.state()).requests for field in LIMITS if field in request["body"]]
