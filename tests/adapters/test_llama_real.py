"""A real OpenAI-compatible server that nobody here wrote: llama.cpp. What it says does not matter, only how it comes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from letta_grpc.adapters.clock import SystemClock
from letta_grpc.adapters.llama import LlamaProvider, LlamaServer
from letta_grpc.adapters.openai import OpenAIEndpoint, OpenAIProvider
from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import FinishReason, ModelFinished, ModelRequest
from letta_grpc.domain.errors import ModelAuthFailed
from letta_grpc.testing.models import open_stream, read_all, text_of, user_request
from tests.support.llama_server import Llama, running_llama, small_model

LONG = 1500
MEASURED = 10

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    with running_llama() as llama:
        yield llama


@pytest.fixture
async def provider(llama: Llama) -> AsyncIterator[OpenAIProvider]:
    provider = OpenAIProvider(OpenAIEndpoint(name="local", base_url=llama.base_url, api_key=llama.api_key), SystemClock())
    yield provider
    await provider.close()


def request_of(model: str, tokens: int) -> ModelRequest:
    settings = ModelSettings(temperature=0.0, max_output_tokens=tokens)
    return replace(user_request("Count from one to one thousand.", model), tools=(), settings=settings)


async def test_tokens_stream_and_usage_is_there(llama: Llama, provider: OpenAIProvider) -> None:
    async with asyncio.timeout(100):
        batches = await read_all(provider.find(llama.model), request_of(llama.model, 12))
    assert text_of(batches)
    assert len(batches) > 3
    finished = batches[-1][-1]
    assert isinstance(finished, ModelFinished)
    assert finished.reason is FinishReason.LENGTH
    assert finished.usage.completion_tokens == 12
    assert finished.usage.prompt_tokens


async def test_closing_the_stream_frees_the_slot(llama: Llama, provider: OpenAIProvider) -> None:
    model = provider.find(llama.model)
    time = asyncio.get_running_loop().time
    async with asyncio.timeout(100):
        async with aclosing(open_stream(model, request_of(llama.model, LONG))) as batches:
            await anext(batches)
            begin = time()
            for _ in range(MEASURED):
                await anext(batches)
            pace = (time() - begin) / MEASURED
            assert await llama.is_busy()
        # There is one slot, so this one can only come before the first would have ended if that has been given up.
        async with asyncio.timeout(LONG / 2 * pace):
            assert text_of(await read_all(model, request_of(llama.model, 3)))
    assert not await llama.is_busy()


async def test_a_wrong_key_is_refused(llama: Llama) -> None:
    provider = OpenAIProvider(OpenAIEndpoint(name="local", base_url=llama.base_url, api_key="wrong"), SystemClock())
    with pytest.raises(ModelAuthFailed):
        await read_all(provider.find(llama.model), request_of(llama.model, 3))
    await provider.close()


async def test_the_list_says_how_much_fits(llama: Llama, provider: OpenAIProvider) -> None:
    (model,) = await provider.list_models()
    assert (model.handle, model.context_window) == (f"local/{llama.model}", 2048)


async def test_a_gguf_file_runs_in_this_process_and_loads_with_the_first_call() -> None:
    connected: list[LlamaServer] = []

    def connect(server: LlamaServer) -> OpenAIProvider:
        connected.append(server)
        return OpenAIProvider(OpenAIEndpoint(name="local", base_url=server.base_url, api_key=server.api_key), SystemClock())

    local = LlamaProvider(small_model(), connect, context_tokens=1024)
    (listed,) = await local.list_models()
    assert not connected
    model = local.find(listed.name)
    assert model is not None
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        answers = [group.create_task(read_all(model, request_of(listed.name, 3))) for _ in range(2)]
    assert all(text_of(answer.result()) for answer in answers)
    assert len(connected) == 1
    assert local.find("another") is None
    await local.close()
