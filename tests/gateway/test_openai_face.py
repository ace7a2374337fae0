"""The openai face, byte by byte and through the official SDK."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from letta_grpc.gateway.faces.openai.answers import ChatAnswer, ChatChunks
from letta_grpc.gateway.faces.openai.requests import ChatRequest
from letta_grpc.v1 import events_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.faces import Faced, faced, script
from tests.support.gateways import blocks_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
PATIENT = {"x-stainless-retry-count": "0", "x-stainless-read-timeout": "600"}
WAITING = script({"text": "one "}, {"wait_for_cancel": True})
NO_WORDS = "'messages[-1].role' must be a 'user'"
NOBODY = "agent-00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


def said(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


async def raw(server: Faced, **body: Any) -> list[Any]:  # noqa: ANN401 - any JSON
    """The data of a stream's events; text that is no JSON stays text."""
    answer = await server.http.post(CHAT, json={"stream": True} | body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    data = [block.removeprefix("data: ") for block in blocks_of(answer.text) if not block.startswith(":")]
    return [text if text == "[DONE]" else json.loads(text) for text in data]


@requirement("openai_stream", "complaint_17_openai_stream")
async def test_chunks_have_one_id_the_first_the_role_the_last_the_reason(server: Faced) -> None:
    agent_id = await server.agent()
    *chunks, done = await raw(server, model=agent_id, messages=said("one two three"))
    assert done == "[DONE]"
    (run,) = await server.runs(agent_id)
    assert {chunk["id"] for chunk in chunks} == {f"chatcmpl-{run.id}"}
    assert {(chunk["object"], chunk["model"], chunk["created"]) for chunk in chunks} == {
        ("chat.completion.chunk", agent_id, run.create_time.seconds)
    }
    choices = [chunk["choices"][0] for chunk in chunks]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert [choice["delta"] for choice in choices[1:-1]] == [{"content": word} for word in ("one ", "two ", "three")]
    assert choices[-1]["delta"] == {}
    assert [choice["finish_reason"] for choice in choices] == [None] * 4 + ["stop"]
    assert not any("usage" in chunk for chunk in chunks)


@requirement("openai_usage", "complaint_17_openai_stream")
async def test_usage_comes_when_it_is_asked_for_behind_the_last_chunk_and_before_the_end(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    message = script({"text": "one two"}, {"usage": {"prompt_tokens": 7, "completion_tokens": 2, "cached_input_tokens": 3}})
    options = {"include_usage": True}
    *chunks, usage, done = await raw(server, model=agent_id, messages=said(message), stream_options=options)
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert usage["choices"] == []
    assert usage["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 2,
        "total_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    assert usage["id"] == chunks[0]["id"]
    assert done == "[DONE]"


@requirement("openai_stream")
async def test_an_answer_without_a_word_has_its_role_its_reason_and_its_end(server: Faced) -> None:
    role, end, usage, done = await raw(
        server,
        model=await server.agent("scripted/script"),
        messages=said(script({"usage": {"prompt_tokens": 7, "completion_tokens": 0}})),
        stream_options={"include_usage": True},
    )
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert (end["choices"][0]["delta"], end["choices"][0]["finish_reason"]) == ({}, "stop")
    assert usage["usage"] == {"prompt_tokens": 7, "completion_tokens": 0, "total_tokens": 7}
    assert done == "[DONE]"


async def test_only_the_last_message_is_said_to_the_agent_for_it_remembers_the_others(server: Faced) -> None:
    agent_id = await server.agent()
    messages = [
        {"role": "system", "content": "be short"},
        *said("early"),
        {"role": "assistant", "content": "x"},
        *said("late"),
    ]
    *_, done = await raw(server, model=agent_id, messages=messages, temperature=0.1, max_tokens=1, tools=[], seed=1)
    assert done == "[DONE]"
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": said("again")})
    assert answer.json()["choices"][0]["message"]["content"] == "again"
    history = await server.http.get(f"/api/v1/agents/{agent_id}/messages")
    texts = ["".join(part.get("text", "") for part in message["content"]) for message in history.json()["messages"]]
    assert texts == ["late", "late", "again", "again"]


@requirement("openai_checks")
@pytest.mark.parametrize(
    ("change", "message", "param"),
    [
        ({"messages": None}, "The 'messages' field must be an iterable.", "messages"),
        ({"messages": 7}, "The 'messages' field must be an iterable.", "messages"),
        ({"messages": []}, "The 'messages' field must not be empty.", "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, NO_WORDS, "messages[-1].role"),
        ({"messages": ["x"]}, NO_WORDS, "messages[-1].role"),
        ({"messages": [{"role": "user"}]}, "'messages[-1].content' must be a 'string'", "messages[-1].content"),
        ({"messages": [{"role": "user", "content": {}}]}, "'messages[-1].content' must be a 'string'", "messages[-1].content"),
        ({"model": 3}, "The 'model' must be an agent's id, as /v1/models lists them.", "model"),
        ({"n": 2}, "An agent gives one answer: 'n' must be 1.", "n"),
        ({"logprobs": True}, "An agent's answer has no probabilities: leave 'logprobs' out.", "logprobs"),
        ({"modalities": ["text", "audio"]}, "An agent answers in text: 'modalities' must be ['text'].", "modalities"),
        (
            {"web_search_options": {}},
            "Give the agent a tool that searches, and leave 'web_search_options' out.",
            "web_search_options",
        ),
        ({"stream": "yes"}, "The 'stream' field must be true or false.", "stream"),
        ({"user": 1}, "'user' must be a text.", "user"),
        ({"response_format": {"type": "xml"}}, None, "response_format"),
        ({"response_format": {"type": "json_schema"}}, None, "response_format.json_schema.schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            None,
            "response_format.json_schema.schema",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, None, "messages[-1].content[0]"),
    ],
)
async def test_a_request_that_breaks_a_rule_is_told_which(
    server: Faced,
    change: dict[str, Any],
    message: str | None,
    param: str,
) -> None:
    for is_stream in (True, False):
        body = {"model": NOBODY, "messages": said("x"), "stream": is_stream} | change
        answer = await server.http.post(CHAT, json=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["code"]) == (400, "invalid_request_error", "INVALID_REQUEST")
        assert error["param"] == param
        assert message in {None, error["message"]}


async def test_messages_that_are_missing_are_asked_for(server: Faced) -> None:
    answer = await server.http.post(CHAT, json={"model": NOBODY})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "The 'messages' field is missing in the request."


@requirement("openai_errors")
@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("CONTEXT_WINDOW_EXCEEDED", "invalid_request_error"),
        ("MODEL_RATE_LIMITED", "rate_limit_error"),
        ("MODEL_OVERLOADED", "server_error"),
    ],
)
async def test_a_failed_run_is_an_error_in_place_of_usage_and_done_is_last(server: Faced, reason: str, kind: str) -> None:
    message = script({"text": "Well, "}, {"error": reason, "message": "too much"})
    told = await raw(
        server,
        model=await server.agent("scripted/script"),
        messages=said(message),
        stream_options={"include_usage": True},
    )
    assert told[1]["choices"][0]["delta"] == {"content": "Well, "}
    assert told[2:] == [{"error": {"message": "too much", "type": kind, "param": None, "code": reason}}, "[DONE]"]


@requirement("openai_errors")
async def test_an_answer_that_is_begun_again_is_an_error_and_said_no_further() -> None:
    text = events_pb2.TextDelta(message_id="message-1", text="Well, ")
    chunks = ChatChunks(ChatRequest(start=run_service_pb2.StreamRunRequest(), is_stream=True, with_usage=True))
    *_, told = chunks.of(
        [
            events_pb2.RunEvent(text_delta=text),
            events_pb2.RunEvent(step_restarted=events_pb2.StepRestarted(void_message_ids=["message-1"])),
            events_pb2.RunEvent(text_delta=text),
        ]
    )
    assert chunks.is_over
    assert told["error"].pop("message").startswith("The answer was begun again")
    assert told == {"error": {"type": "server_error", "param": None, "code": "STEP_RESTARTED"}}


async def test_what_nobody_can_read_of_reasoning_is_not_told() -> None:
    signed = events_pb2.RunEvent(reasoning_delta=events_pb2.ReasoningDelta(message_id="message-1", signature="proof"))
    hidden = events_pb2.RunEvent(reasoning_delta=events_pb2.ReasoningDelta(message_id="message-1", redacted_reasoning="xyz"))
    chunks = ChatChunks(ChatRequest(start=run_service_pb2.StreamRunRequest(), is_stream=True, with_usage=True))
    assert list(chunks.of([signed, hidden])) == []
    answer = ChatAnswer(ChatRequest(start=run_service_pb2.StreamRunRequest(), is_stream=False, with_usage=False))
    answer.take([signed, hidden])
    assert "reasoning_content" not in answer.completion(runs_pb2.Run())["choices"][0]["message"]


@requirement("openai_errors")
async def test_a_stream_that_breaks_off_says_so_and_done_is_last(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        leave, begun = asyncio.Event(), asyncio.Event()
        address: list[Faced] = []

        async def serve() -> None:
            async with faced(tmp_path) as server:
                address.append(server)
                begun.set()
                await leave.wait()

        serving = group.create_task(serve())
        await begun.wait()
        (server,) = address
        body = {"model": await server.agent("scripted/script"), "messages": said(WAITING), "stream": True}
        async with (
            asyncio.timeout(20),
            httpx2.AsyncClient(base_url=server.url, trust_env=False, headers={"accept-encoding": "identity"}) as client,
            client.stream("POST", CHAT, json=body) as answer,
        ):
            text = ""
            async for piece in answer.aiter_text():
                text += piece
                if "one " in text:
                    leave.set()
        await serving
    *_, error, done = blocks_of(text)
    assert json.loads(error.removeprefix("data: "))["error"].keys() == {"message", "type", "param", "code"}
    assert done == "data: [DONE]"


@requirement("openai_finish")
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (script({"text": "x"}), "stop"),
        (script({"text": "x"}, {"finish": "length"}), "length"),
        (script({"text": "x"}, {"finish": "content_filter"}), "content_filter"),
        (script({"text": "x"}, {"tool_call": {"name": "memory_insert", "arguments": {"a": 1}, "id": "call_1"}}), "tool_calls"),
    ],
)
async def test_the_end_has_openais_name_in_both_ways(server: Faced, message: str, reason: str) -> None:
    async def agent() -> str:
        return await server.agent("scripted/script", tools=["memory_insert"], tool_approvals={"memory_insert": True})

    whole = (await server.http.post(CHAT, json={"model": await agent(), "messages": said(message)})).json()["choices"][0]
    *chunks, _ = await raw(server, model=await agent(), messages=said(message))
    assert (whole["finish_reason"], chunks[-1]["choices"][0]["finish_reason"]) == (reason, reason)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == whole["message"]["content"] == "x"
    if reason == "tool_calls":
        call = {"id": "call_1", "type": "function", "function": {"name": "memory_insert", "arguments": '{"a": 1}'}}
        assert whole["message"]["tool_calls"] == [call]
        assert chunks[-2]["choices"][0]["delta"] == {"tool_calls": [{"index": 0} | call]}


async def test_reasoning_is_never_in_the_answers_text(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    message = script({"reasoning": "Hm. "}, {"text": "Yes."})
    whole = (await server.http.post(CHAT, json={"model": agent_id, "messages": said(message)})).json()["choices"][0]["message"]
    assert (whole["content"], whole["reasoning_content"]) == ("Yes.", "Hm. ")
    *chunks, _ = await raw(server, model=agent_id, messages=said(message))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[1:3] == [{"reasoning_content": "Hm. "}, {"content": "Yes."}]


async def test_the_shape_the_user_and_the_metadata_go_with_the_run(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    shape = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}
    body = {"model": agent_id, "user": "ada", "metadata": {"place": "here"}, "response_format": shape}
    answer = await server.http.post(CHAT, json=body | {"messages": said(script({"text": '{"a": 1}'}))})
    assert answer.json()["choices"][0]["message"]["content"] == '{"a": 1}'
    (run,) = await server.runs(agent_id)
    assert dict(run.metadata) == {"user": "ada", "place": "here"}
    broken = await server.http.post(
        CHAT, json=body | {"messages": said(script([{"text": "no"}], [{"text": "no"}], [{"text": "no"}]))}
    )
    assert (broken.status_code, broken.json()["error"]["code"]) == (502, "INVALID_MODEL_OUTPUT")


@requirement("openai_webui", "complaint_18_openai_clients")
async def test_open_webuis_calls_are_answered(server: Faced) -> None:
    """It lists models, streams with fields of its own, and asks for a title while the answer may still be under way."""
    agent_id = await server.agent("scripted/script")
    listed = (await server.http.get("/v1/models", headers={"authorization": "Bearer sk-any"})).json()
    assert listed["object"] == "list"
    assert agent_id in {model["id"] for model in listed["data"]}
    slow = script({"repeat": 10, "text": "x ", "delay_ms": 20})
    extra = {"chat_id": "c", "id": "i", "session_id": "s", "background_tasks": {"title_generation": True}, "features": {}}
    title = script({"text": '{"title": "X"}'})
    chatting = raw(server, model=agent_id, messages=said(slow), stream_options={"include_usage": True}, **extra)
    asking = server.http.post(
        CHAT, json={"model": agent_id, "messages": said(title), "stream": False, "max_completion_tokens": 1000}
    )
    chunks, titled = await asyncio.gather(chatting, asking)
    assert chunks[-1] == "[DONE]"
    assert titled.json()["choices"][0]["message"]["content"] == '{"title": "X"}'


@requirement("openai_stop")
@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("headers", [{}, PATIENT])
async def test_who_leaves_cancels_the_run(
    server: Faced,
    is_stream: bool,  # noqa: FBT001 - a parameter of the test
    headers: dict[str, str],
) -> None:
    agent_id = await server.agent("scripted/script")
    body = {"model": agent_id, "messages": said(WAITING), "stream": is_stream}
    # Its own policy would do it in 10 s.
    async with asyncio.timeout(8), asyncio.TaskGroup() as group:
        asking = group.create_task(server.http.post(CHAT, json=body, headers=headers))
        runs: list[runs_pb2.Run] = []
        while not runs or runs[0].state != runs_pb2.RUN_STATE_RUNNING:
            runs = await server.runs(agent_id)
        asking.cancel()
        assert (await server.ended(runs[0].id)).state == runs_pb2.RUN_STATE_CANCELLED


async def test_an_idempotency_key_makes_the_start_safe_to_repeat(server: Faced) -> None:
    agent_id = await server.agent()
    body = {"model": agent_id, "messages": said("once")}
    answers = [await server.http.post(CHAT, json=body, headers={"idempotency-key": "k1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len(await server.runs(agent_id)) == 1
    other = await server.http.post(CHAT, json=body | {"messages": said("twice")}, headers={"idempotency-key": "k1"})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "REQUEST_ID_REUSED")


async def test_calls_that_wait_are_no_reason_to_wait(server: Faced) -> None:
    agent_id = await server.agent("scripted/script", tools=["memory_insert"], tool_approvals={"memory_insert": True})
    call = {"tool_call": {"name": "memory_insert", "arguments": {}, "id": "call_1"}}
    await server.http.post(CHAT, json={"model": agent_id, "messages": said(script(call))})
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": said("and now?")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "APPROVAL_PENDING")


@requirement("openai_stop")
@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("queued_first", [0, 2])
async def test_a_request_that_waits_its_turn_waits_no_more_once_calls_wait(
    server: Faced,
    is_stream: bool,  # noqa: FBT001 - a parameter of the test
    queued_first: int,
) -> None:
    agent_id = await server.agent("scripted/script", tools=["memory_insert"], tool_approvals={"memory_insert": True})
    call = {"tool_call": {"name": "memory_insert", "arguments": {}, "id": "call_1"}}
    texts = [*[script({"text": "x "}, {"delay_ms": 100})] * queued_first, script({"text": "x "}, {"delay_ms": 500}, call)]
    path = f"/api/v1/agents/{agent_id}/runs"
    for text in texts:
        run = {"messages": [{"user": {"text": text}}], "conflictPolicy": "CONFLICT_POLICY_ENQUEUE"}
        assert (await server.http.post(path, json={"run": run})).status_code == 200
    async with asyncio.timeout(15):
        answer = await server.http.post(CHAT, json={"model": agent_id, "messages": said("hello"), "stream": is_stream})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "APPROVAL_PENDING")
    *before, waited = sorted(await server.runs(agent_id), key=lambda run: run.create_time.ToNanoseconds())
    assert len(before) == len(texts)
    assert (await server.ended(waited.id)).state == runs_pb2.RUN_STATE_CANCELLED


async def test_a_request_whose_turn_comes_is_answered_however_many_are_before_it(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    slow = script({"text": "x "}, {"delay_ms": 100})
    ask = [server.http.post(CHAT, json={"model": agent_id, "messages": said(slow)}) for _ in range(4)]
    async with asyncio.timeout(15):
        assert [answer.status_code for answer in await asyncio.gather(*ask)] == [200] * 4
