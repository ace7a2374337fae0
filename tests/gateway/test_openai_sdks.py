"""The openai face through the official SDKs."""

from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
import pytest_asyncio
from pydantic import BaseModel

from tests.requirements.registry import requirement
from tests.support.faces import Faced, faced, script
from tests.support.node import node

pytestmark = pytest.mark.asyncio(loop_scope="module")

OVERLOADED = {"error": "MODEL_OVERLOADED", "message": "come back later"}
NOBODY = "agent-00000000-0000-4000-8000-000000000000"


class Shape(BaseModel):
    a: int


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def sdk(server: Faced) -> AsyncIterator[openai.AsyncOpenAI]:
    async with sdk_of(server) as client:
        yield client


def sdk_of(server: Faced, key: str = "any", *, max_retries: int = 2, timeout: float = 20) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=max_retries, timeout=timeout)


@requirement("openai_failures")
async def test_a_failed_run_without_streaming_is_a_status_that_no_sdk_repeats(server: Faced, sdk: openai.AsyncOpenAI) -> None:
    agent_id = await server.agent("scripted/script")
    message = script({"error": "MODEL_RATE_LIMITED", "message": "too much"})
    with pytest.raises(openai.RateLimitError, match="too much") as failed:
        await sdk.chat.completions.create(model=agent_id, messages=[{"role": "user", "content": message}])
    assert failed.value.code == "MODEL_RATE_LIMITED"
    assert len(await server.runs(agent_id)) == 1


@requirement("openai_models", "complaint_18_openai_clients")
async def test_agents_are_the_models_and_the_slash_is_somebody_elses(server: Faced, sdk: openai.AsyncOpenAI) -> None:
    agent_id = await server.agent(name="Ada")
    found = {model.id: model async for model in sdk.models.list()}
    assert found[agent_id].object == "model"
    assert found[agent_id].created > 1_700_000_000
    assert (found[agent_id].model_extra or {})["name"] == "Ada"
    assert (await sdk.models.retrieve(agent_id)).id == agent_id
    with pytest.raises(openai.NotFoundError) as failed:
        await sdk.models.retrieve(NOBODY)
    assert (failed.value.code, failed.value.param) == ("AGENT_NOT_FOUND", "model")
    with_slash = await server.http.get("/v1/models/")
    assert with_slash.status_code != 307
    assert not (with_slash.status_code == 200 and isinstance(with_slash.json(), dict) and "object" in with_slash.json())


@requirement("openai_sdk_python", "complaint_18_openai_clients")
async def test_the_official_sdk_streams_and_waits(server: Faced, sdk: openai.AsyncOpenAI) -> None:
    agent_id = await server.agent()
    stream = await sdk.chat.completions.create(
        model=agent_id,
        messages=[{"role": "user", "content": "one two three"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two three"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 3
    whole = await sdk.chat.completions.create(model=agent_id, messages=[{"role": "user", "content": "four"}])
    assert whole.choices[0].message.content == "four"
    assert whole.usage
    assert whole.usage.completion_tokens == 1


@requirement("openai_sdk_python")
async def test_the_official_sdk_gathers_a_stream_and_parses_a_shape(server: Faced, sdk: openai.AsyncOpenAI) -> None:
    agent_id = await server.agent()
    async with sdk.chat.completions.stream(model=agent_id, messages=[{"role": "user", "content": "one two"}]) as stream:
        gathered = await stream.get_final_completion()
    assert gathered.choices[0].message.content == "one two"
    scripted = await server.agent("scripted/script")
    parsed = await sdk.chat.completions.parse(
        model=scripted, messages=[{"role": "user", "content": script({"text": '{"a": 1}'})}], response_format=Shape
    )
    assert parsed.choices[0].message.parsed == Shape(a=1)


@requirement("openai_sdk_python")
async def test_the_official_sdk_raises_what_a_stream_and_a_status_say(server: Faced, sdk: openai.AsyncOpenAI) -> None:
    failing = await server.agent("scripted/script")
    stream = await sdk.chat.completions.create(
        model=failing, messages=[{"role": "user", "content": script({"text": "Well, "}, OVERLOADED)}], stream=True
    )
    with pytest.raises(openai.APIError, match="come back later") as broken:
        async for _ in stream:
            pass
    assert (broken.value.type, broken.value.code) == ("server_error", "MODEL_OVERLOADED")
    with pytest.raises(openai.NotFoundError, match="no such agent") as failed:
        await sdk.chat.completions.create(model=NOBODY, messages=[{"role": "user", "content": "x"}])
    assert (failed.value.code, failed.value.param) == ("AGENT_NOT_FOUND", "model")


@requirement("openai_repeats")
async def test_what_the_official_sdk_repeats_since_it_took_too_long_is_one_run(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    message = script({"text": "Well, "}, {"delay_ms": 900}, {"text": "yes"})
    async with sdk_of(server, max_retries=4, timeout=0.5) as hasty:
        whole = await hasty.chat.completions.create(model=agent_id, messages=[{"role": "user", "content": message}])
    assert whole.choices[0].message.content == "Well, yes"
    assert len(await server.runs(agent_id)) == 1


@requirement("openai_repeats")
async def test_what_the_official_sdk_repeats_while_it_waits_its_turn_is_one_run(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    before = {"messages": [{"user": {"text": script({"delay_ms": 900})}}]}
    assert (await server.http.post(f"/api/v1/agents/{agent_id}/runs", json={"run": before})).status_code == 200
    message = script({"text": "yes"})
    async with sdk_of(server, max_retries=4, timeout=0.5) as hasty:
        stream = await hasty.chat.completions.create(
            model=agent_id, messages=[{"role": "user", "content": message}], stream=True
        )
        told = [chunk.choices[0].delta.content async for chunk in stream]
    assert "".join(text or "" for text in told) == "yes"
    assert len(await server.runs(agent_id)) == 2


@requirement("openai_models")
async def test_a_model_that_is_no_agent_is_told_as_openai_tells_it(sdk: openai.AsyncOpenAI) -> None:
    for name in ("gpt-4o", "openai/gpt-4o"):
        with pytest.raises(openai.NotFoundError, match="agent's id") as failed:
            await sdk.models.retrieve(name)
        assert (failed.value.code, failed.value.param) == ("AGENT_NOT_FOUND", "model")
        with pytest.raises(openai.BadRequestError, match="agent's id") as refused:
            await sdk.chat.completions.create(model=name, messages=[{"role": "user", "content": "x"}])
        assert refused.value.param == "model"


@requirement("openai_checks")
async def test_openais_other_ways_to_an_answer_are_told_the_one_that_is_here(server: Faced, sdk: openai.AsyncOpenAI) -> None:
    agent_id = await server.agent()
    with pytest.raises(openai.NotFoundError, match="/v1/chat/completions") as responses:
        await sdk.responses.create(model=agent_id, input="x")
    with pytest.raises(openai.NotFoundError, match="/v1/chat/completions"):
        await sdk.completions.create(model=agent_id, prompt="x")
    assert (responses.value.type, responses.value.code) == ("invalid_request_error", "INVALID_REQUEST")


@requirement("openai_checks")
@pytest.mark.parametrize(
    ("verb", "path"),
    [("POST", "chat/completions/"), ("GET", "chat/completions"), ("GET", "chat/completions/x"), ("DELETE", "responses/x")],
)
async def test_what_is_not_there_is_told_in_openais_form(server: Faced, verb: str, path: str) -> None:
    """A path that is wrong by a slash is so for OpenAI, too."""
    answer = await server.http.request(verb, f"/v1/{path}")
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (404, "invalid_request_error")
    assert error["message"] == f"There is no {verb} /v1/{path} here: use POST /v1/chat/completions."


@requirement("openai_checks")
async def test_what_only_a_provider_does_is_told_in_openais_form(server: Faced) -> None:
    """In no other form do the SDKs for JavaScript show a word, and 501 is repeated by those that read no header."""
    for path in ("embeddings", "moderations", "images/generations", "audio/speech"):
        answer = await server.http.post(f"/v1/{path}", json={"model": "text-embedding-3-small", "input": "x"})
        assert (answer.status_code, answer.json()["error"]) == (
            404,
            {
                "message": f"There is no POST /v1/{path} here: ask the provider itself.",
                "type": "invalid_request_error",
                "param": None,
                "code": "INVALID_REQUEST",
            },
        )


@requirement("openai_sdk_node")
async def test_the_official_sdk_for_node_works(server: Faced) -> None:
    agent_id, failing = await server.agent(), await server.agent("scripted/script")
    seen = await node("openai_face.mjs", f"{server.url}/v1", agent_id, failing, script({"text": "Well, "}, OVERLOADED))
    assert agent_id in seen.pop("models")
    assert seen == {
        "pieces": ["one ", "two ", "three"],
        "tokens": 3,
        "whole": "four",
        "streamError": ["come back later", "server_error", "MODEL_OVERLOADED"],
        "status": 404,
        "code": "AGENT_NOT_FOUND",
        "late": "late",
    }
    # One failed, one came late.
    assert len(await server.runs(failing)) == 2


@requirement("openai_keys")
async def test_the_sdks_key_is_the_servers(tmp_path: Path) -> None:
    async with faced(tmp_path, api_keys=("right",)) as server:
        async with sdk_of(server, "wrong") as wrong:
            with pytest.raises(openai.AuthenticationError):
                await wrong.models.list()
        async with sdk_of(server, "right") as right:
            assert (await right.models.list()).data == []
