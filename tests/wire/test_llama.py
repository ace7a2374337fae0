"""The whole way to a real model behind a server that nobody here wrote: llama.cpp. What it says does not matter."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

import grpc
import pytest
from pydantic import SecretStr

from letta_grpc.settings import Provider
from letta_grpc.v1 import agents_pb2, events_pb2, messages_pb2, model_service_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, talk
from tests.support.llama_server import Llama, running_llama
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

SHORT, LONG, MEASURED = 12, 1500, 20


@pytest.fixture(scope="module")
def llama() -> Iterator[Llama]:
    with running_llama() as llama:
        yield llama


def connected(connect: Connect, llama: Llama) -> AbstractAsyncContextManager[Wire]:
    return connect(providers={"llama": Provider(base_url=llama.base_url, api_key=SecretStr(llama.api_key))})


async def small_talk(wire: Wire, llama: Llama, max_output_tokens: int) -> Talk:
    settings = agents_pb2.ModelSettings(temperature=0.0, max_output_tokens=max_output_tokens)
    return await talk(wire, f"llama/{llama.model}", system="Count.", model_settings=settings)


async def until_free(llama: Llama) -> None:
    while await llama.is_busy():
        pass


@requirement("real_model", "complaint_14_local_models")
async def test_tokens_stream_one_by_one_and_usage_is_told(connect: Connect, llama: Llama) -> None:
    async with asyncio.timeout(60), connected(connect, llama) as wire:
        one = await small_talk(wire, llama, SHORT)
        events = await one.ask("Count to one hundred.")
        deltas = [event.text_delta.text for event in events if event.WhichOneof("payload") == "text_delta"]
        run = run_of(events)
        assert len(deltas) > 3
        assert (run.state, run.stop_reason) == (runs_pb2.RUN_STATE_COMPLETED, runs_pb2.STOP_REASON_MAX_TOKENS)
        assert run.usage.completion_tokens == SHORT
        assert run.usage.prompt_tokens > 0
        assert run.usage.total_tokens == run.usage.prompt_tokens + SHORT
        assert run.timing.HasField("time_to_first_token")
        assert said(await one.history()) == [("USER", "Count to one hundred."), ("ASSISTANT", "".join(deltas))]


@requirement("real_model_cancel")
async def test_cancel_frees_the_model_s_slot_and_keeps_what_was_said(connect: Connect, llama: Llama) -> None:
    async with asyncio.timeout(90), connected(connect, llama) as wire:
        one = await small_talk(wire, llama, LONG)
        call = wire.runs.StreamRun(one.start("Count to one thousand."))
        events: list[events_pb2.RunEvent] = []
        async for response in call:
            events += response.events
            if sum(event.WhichOneof("payload") == "text_delta" for event in events) > MEASURED:
                break
        assert await llama.is_busy()
        pace = (events[-1].create_time.ToNanoseconds() - events[-MEASURED].create_time.ToNanoseconds()) / 1e9 / MEASURED
        run_id = events[0].run_started.run.id
        await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=run_id))
        # Left alone it would be at work for twice as long.
        async with asyncio.timeout(LONG / 2 * pace):
            await until_free(llama)
        async for response in call:
            events += response.events
        assert await call.code() == grpc.StatusCode.OK
        assert run_of(events).state == runs_pb2.RUN_STATE_CANCELLED
        question, answer = await one.history()
        assert answer.role == messages_pb2.ROLE_ASSISTANT
        assert said([question, answer])[1][1] == "".join(event.text_delta.text for event in events)
        await one.goes_on()


@requirement("real_model")
async def test_its_models_are_listed_with_what_fits(connect: Connect, llama: Llama) -> None:
    async with asyncio.timeout(60), connected(connect, llama) as wire:
        listed = await wire.models.ListModels(model_service_pb2.ListModelsRequest(provider="llama"))
        assert [model.handle for model in listed.models] == [f"llama/{llama.model}"]
        assert listed.models[0].context_window == 2048
        assert list(listed.unreachable_providers) == []


@requirement("real_model")
async def test_a_wrong_key_is_told_as_such(connect: Connect, llama: Llama) -> None:
    providers = {"llama": Provider(base_url=llama.base_url, api_key=SecretStr("wrong"))}
    async with asyncio.timeout(60), connect(providers=providers) as wire:
        one = await small_talk(wire, llama, SHORT)
        error = run_of(await one.ask("hi")).error
        assert (error.reason, error.metadata["status"]) == ("MODEL_AUTH_FAILED", "401")
        assert "wrong" not in error.message
        await one.goes_on()
