# ruff: noqa: ANN401 - vendors' JSON, and fields passed through by name

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import ModelChunk, ModelFinished, ToolCallChunk
from letta_grpc.domain.errors import (
    ContextWindowExceeded,
    InsufficientCredits,
    InvalidModelOutput,
    ModelAuthFailed,
    ModelBadRequest,
    ModelFailure,
    ModelOverloaded,
    ModelRateLimited,
    ModelTimeout,
)
from letta_grpc.testing.clocks import FakeClock
from letta_grpc.testing.models import open_stream, read_all, read_into, text_of, user_request
from tests.requirements.registry import requirement
from tests.support.upstream import Upstream, running_upstream

Connect = Callable[..., OpenAIProvider]


class _SteppingClock(FakeClock):
    """Lets nobody wait, and remembers for how long each wanted to."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with running_upstream() as server:
        yield server


@pytest.fixture
def clock() -> _SteppingClock:
    return _SteppingClock()


@pytest.fixture
async def connect(server: Upstream, clock: _SteppingClock) -> AsyncIterator[Connect]:
    await server.reset()
    opened: list[OpenAIProvider] = []

    def connect(**fields: Any) -> OpenAIProvider:
        defaults: dict[str, Any] = {"name": "test", "base_url": server.base_url, "api_key": "k"}
        endpoint = OpenAIEndpoint(key_variable="TEST_API_KEY", **defaults | fields)
        opened.append(OpenAIProvider(endpoint, clock))
        return opened[-1]

    yield connect
    for provider in opened:
        await provider.close()


async def ask(provider: OpenAIProvider, model: str, text: str = "Hello you") -> str:
    return text_of(await read_all(provider.find(model), user_request(text, model)))


async def failure_of(provider: OpenAIProvider, model: str) -> ModelFailure:
    with pytest.raises(ModelFailure) as raised:
        await ask(provider, model)
    return raised.value


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("bad-key", ModelAuthFailed),
        ("status-401", ModelAuthFailed),
        ("status-402", InsufficientCredits),
        ("quota", InsufficientCredits),
        ("status-403", ModelAuthFailed),
        ("no-such-model", ModelBadRequest),
        ("status-400", ModelBadRequest),
        ("context-length", ContextWindowExceeded),
        ("status-429", ModelRateLimited),
        ("status-429-after-3600", ModelRateLimited),
        ("status-500", ModelOverloaded),
        ("status-503", ModelOverloaded),
        ("status-504", ModelTimeout),
        ("redirect", ModelBadRequest),
        ("garbage", InvalidModelOutput),
        ("garbage-chunk", InvalidModelOutput),
        ("no-http", InvalidModelOutput),
        ("empty", InvalidModelOutput),
        ("cut-first", ModelOverloaded),
        ("cut-token", InvalidModelOutput),
        ("cut-clean", InvalidModelOutput),
        ("cut-tool-call", InvalidModelOutput),
        ("error-first", ModelOverloaded),
        ("error-in-stream", ModelOverloaded),
    ],
)
async def test_every_misbehaviour_has_its_reason(connect: Connect, model: str, kind: type[ModelFailure]) -> None:
    failure = await failure_of(connect(), model)
    assert type(failure) is kind
    assert failure.metadata["provider"] == "test"
    assert failure.metadata["model"] == model


@pytest.mark.parametrize("model", ["flaky-429-2", "flaky-500-2", "flaky-503-1", "flaky-408-1", "flaky-cut-2"])
async def test_what_may_pass_is_asked_again(connect: Connect, clock: _SteppingClock, model: str) -> None:
    assert await ask(connect(), model) == "w0 w1 w2 "
    assert len(clock.waits) == int(model[-1])


@pytest.mark.parametrize("model", ["flaky-503-3", "status-429", "cut-first", "error-first", "empty"])
async def test_it_is_given_up_after_two_retries(server: Upstream, connect: Connect, clock: _SteppingClock, model: str) -> None:
    await failure_of(connect(), model)
    assert len(clock.waits) == 2
    assert len((await server.state()).requests) == 3


@pytest.mark.parametrize("model", ["error-in-stream", "cut-token", "cut-tool-call", "status-400", "quota", "garbage"])
async def test_nothing_is_asked_again_once_a_token_came_or_where_it_cannot_help(
    server: Upstream, connect: Connect, model: str
) -> None:
    await failure_of(connect(), model)
    assert len((await server.state()).requests) == 1


async def test_a_wait_that_the_provider_asks_for_is_kept(connect: Connect, clock: _SteppingClock) -> None:
    await failure_of(connect(), "status-429-after-9")
    assert clock.waits == [9.0, 9.0]


async def test_what_was_said_before_a_cut_is_given(connect: Connect) -> None:
    said: list[Sequence[ModelChunk]] = []
    with pytest.raises(InvalidModelOutput):
        await read_into(said, connect().find("m"), user_request("x", "cut-token"))
    assert text_of(said) == "w0 w1 "


async def test_what_came_before_a_cut_is_given_to_a_slow_reader_too(server: Upstream, connect: Connect) -> None:
    """The connection may break while nobody reads, with words still in the buffer."""
    said: list[Sequence[ModelChunk]] = []
    async with aclosing(open_stream(connect().find("m"), user_request("x", "gated-cut"))) as batches:
        said.append(await anext(batches))
        await server.release()
        await server.until(active=0)
        with pytest.raises(InvalidModelOutput):  # noqa: PT012 - see below
            async for batch in batches:
                said.append(batch)  # noqa: PERF401 - a comprehension would lose what comes before the failure
    assert text_of(said) == "w0 w1 "


async def test_a_complete_answer_leaves_its_connection_for_the_next(server: Upstream, connect: Connect) -> None:
    provider = connect()
    for _ in range(5):
        await ask(provider, "words-3")
    state = await server.state()
    assert (state.accepted, state.aborted) == (1, 0)


async def test_a_connection_is_kept_though_its_response_ends_after_its_answer(
    server: Upstream, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("letta_grpc.adapters.openai.model._DRAIN_SECONDS", 50)
    provider = connect()
    is_answered = asyncio.Event()

    async def read() -> None:
        async with aclosing(open_stream(provider.find("m"), user_request("x", "late-end"))) as batches:
            async for batch in batches:
                if isinstance(batch[-1], ModelFinished):
                    is_answered.set()

    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        group.create_task(read())
        await is_answered.wait()
        await server.release()
    await ask(provider, "words-1")
    assert (await server.state()).accepted == 1


async def test_an_answer_is_over_though_its_response_never_ends(server: Upstream, connect: Connect) -> None:
    assert await ask(connect(), "late-end") == "w0 "
    assert (await server.until(active=0)).aborted == 1


async def test_a_closed_answer_closes_its_connection(server: Upstream, connect: Connect) -> None:
    provider = connect()
    async with aclosing(open_stream(provider.find("m"), user_request("x", "gated-3"))) as batches:
        await anext(batches)
        assert (await server.until(active=1)).connections == 1
    state = await server.until(active=0)
    assert state.aborted == 1
    assert await ask(provider, "words-3") == "w0 w1 w2 "
    assert (await server.state()).accepted == 2


async def test_a_call_that_waits_for_its_first_byte_can_be_cancelled(server: Upstream, connect: Connect) -> None:
    provider = connect()
    async with asyncio.timeout(50), asyncio.TaskGroup() as group:
        task = group.create_task(ask(provider, "hang"))
        await server.until(active=1)
        task.cancel()
    assert (await server.until(active=0)).aborted == 1


@requirement("complaint_14_local_models")
async def test_tokens_come_as_they_are_sent(server: Upstream, connect: Connect) -> None:
    async with asyncio.timeout(50), aclosing(open_stream(connect().find("m"), user_request("x", "gated-3"))) as batches:
        for word in ("w0 ", "w1 ", "w2 "):
            assert text_of([await anext(batches)]) == word
            await server.release()
        assert isinstance((await anext(batches))[-1], ModelFinished)


async def test_what_comes_in_one_read_is_one_batch(connect: Connect) -> None:
    batches = await read_all(connect().find("m"), user_request("x", "burst-300"))
    assert len(text_of(batches).split()) == 300
    assert len(batches) < 30


@pytest.mark.parametrize("model", ["hang", "hang-body"])
async def test_a_provider_that_says_nothing_times_out(connect: Connect, model: str) -> None:
    failure = await failure_of(connect(first_byte_timeout_seconds=0.1), model)
    assert isinstance(failure, ModelTimeout)
    assert "0.1 seconds" in failure.message


async def test_a_provider_that_falls_silent_times_out(connect: Connect) -> None:
    assert isinstance(await failure_of(connect(idle_timeout_seconds=0.1), "hang-after-word"), ModelTimeout)


async def test_a_provider_that_falls_silent_behind_its_finish_has_answered(connect: Connect) -> None:
    assert await ask(connect(idle_timeout_seconds=0.1), "hang-after-finish") == "w0 "


@pytest.mark.parametrize("model", ["hang-after-finish", "ping-after-finish"])
async def test_an_answer_with_its_finish_is_not_held_by_what_does_not_come(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr("letta_grpc.adapters.openai.model._REST_SECONDS", 0.1)
    assert await ask(connect(), model) == "w0 "


async def test_token_counts_that_come_late_are_waited_for(server: Upstream, connect: Connect) -> None:
    provider = connect()
    async with asyncio.timeout(50), aclosing(open_stream(provider.find("m"), user_request("x", "late-usage"))) as batches:
        assert text_of([await anext(batches)]) == "w0 "
        await server.release()
        (finished,) = await anext(batches)
    assert isinstance(finished, ModelFinished)
    assert finished.usage.completion_tokens == 1


async def test_a_provider_that_is_not_there_is_out_of_reach(connect: Connect, clock: _SteppingClock) -> None:
    failure = await failure_of(connect(base_url="http://127.0.0.1:1/v1"), "m")
    assert isinstance(failure, ModelOverloaded)
    assert "cannot be reached: connection refused" in failure.message
    assert len(clock.waits) == 2


async def test_a_base_url_that_is_none_is_said_so(connect: Connect) -> None:
    assert isinstance(await failure_of(connect(base_url="http://[::1/v1"), "m"), ModelBadRequest)


async def test_a_header_that_breaks_out_of_its_line_is_not_sent(server: Upstream, connect: Connect) -> None:
    request = replace(user_request("x", "words-1"), headers={"traceparent": "00\r\nAuthorization: Bearer other"})
    with pytest.raises(ModelBadRequest):
        await read_all(connect().find("m"), request)
    assert (await server.state()).requests == []


async def test_a_key_with_a_line_break_is_said_so_without_the_key(connect: Connect) -> None:
    failure = await failure_of(connect(api_key="sk-secret\n"), "words-1")
    assert isinstance(failure, ModelBadRequest)
    assert "Authorization" in failure.message
    assert "secret" not in failure.message


async def test_a_vendor_that_wants_a_key_is_not_even_asked_without_one(connect: Connect) -> None:
    provider = connect(base_url="https://api.openai.com/v1", api_key=None)
    assert "set TEST_API_KEY" in (await failure_of(provider, "gpt")).message


async def test_the_key_and_the_calls_headers_go_out(server: Upstream, connect: Connect) -> None:
    request = replace(user_request("x", "words-1"), headers={"traceparent": "00-abc-def-01"})
    await read_all(connect().find("m"), request)
    (seen,) = (await server.state()).requests
    assert seen["headers"]["authorization"] == "Bearer k"
    assert seen["headers"]["traceparent"] == "00-abc-def-01"
    assert seen["headers"]["content-type"] == "application/json"


async def test_without_a_key_none_is_sent(server: Upstream, connect: Connect) -> None:
    await ask(connect(api_key=None), "words-1")
    assert "authorization" not in (await server.state()).requests[0]["headers"]


@pytest.mark.parametrize(("name", "field"), [("openai", "max_completion_tokens"), ("vllm", "max_tokens")])
async def test_the_token_limit_is_called_what_the_provider_calls_it(
    server: Upstream, connect: Connect, name: str, field: str
) -> None:
    request = replace(user_request("x", "words-1"), settings=ModelSettings(max_output_tokens=9))
    await read_all(connect(name=name).find("m"), request)
    assert (await server.state()).requests[0]["body"][field] == 9


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ("echo", "Hello you"),
        ("bytewise", "Grüße 👋"),
        ("huge", "x" * 300_000),
        ("json-body", "w0 w1 "),
        ("nothing", ""),
        ("no-finish", "w0 w1 "),
        ("finish-length", "w0 w1 "),
        ("reasoning-openrouter", "Done."),
    ],
)
async def test_odd_answers_are_answers(connect: Connect, model: str, text: str) -> None:
    assert await ask(connect(), model) == text


async def test_a_request_of_megabytes_goes_out(connect: Connect) -> None:
    assert await ask(connect(), "words-1", "word " * 500_000) == "w0 "


async def test_calls_with_the_same_id_stay_two_calls(connect: Connect) -> None:
    batches = await read_all(connect().find("m"), user_request("x", "same-ids-lookup"))
    calls = [chunk for batch in batches for chunk in batch if isinstance(chunk, ToolCallChunk)]
    assert [(call.index, call.id) for call in calls] == [(0, "call_0"), (1, "call_0")]


async def test_models_are_listed_with_the_context_window_where_the_provider_says_it(connect: Connect) -> None:
    models = await connect().list_models()
    assert {model.handle: model.context_window for model in models} == {
        "test/echo": None,
        "test/words-3": 4096,
        "test/burst-3": 2048,
        "test/gated-3": 1024,
    }


async def test_a_provider_that_is_not_there_lists_nothing(connect: Connect) -> None:
    with pytest.raises(ModelOverloaded):
        await connect(base_url="http://127.0.0.1:1/v1", api_key=None).list_models()
