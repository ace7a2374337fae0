"""The openai face's tools: the agent calls them, its client runs them."""

import asyncio
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.turns import Turns
from letta_grpc.v1 import messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.faces import Faced, faced, script
from tests.support.gateways import blocks_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHAT = "/v1/chat/completions"
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
ROME = {"tool_call": {"name": "get_weather", "arguments": {"city": "Rome"}, "id": "call_1"}}
OSLO = {"tool_call": {"name": "get_weather", "arguments": {"city": "Oslo"}, "id": "call_2"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Rome"}'}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


async def asked(server: Faced, agent_id: str, *messages: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """The choice of a whole answer."""
    body = {"model": agent_id, "messages": messages, "tools": [TOOL]} | more
    answer = await server.http.post(CHAT, json=body)
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return choice


async def history(server: Faced, agent_id: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (await server.http.get(f"/api/v1/agents/{agent_id}/messages")).json()["messages"]
    return messages


async def repeated(server: Faced, **body: Any) -> str:  # noqa: ANN401 - any JSON
    """What one run answers that is asked for twice."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first, second = [(await server.http.post(CHAT, json=body, headers=key)).json() for _ in range(2)]
    assert first == second
    content: str = first["choices"][0]["message"]["content"]
    return content


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [function(name) for name in names]}}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(*calls: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": calls}


def returned(content: Any, call_id: str = "call_1") -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {"role": "tool", "tool_call_id": call_id, "content": content}


@requirement("openai_tools")
@pytest.mark.parametrize("content", ["sunny", [{"type": "text", "text": "sunny"}]])
async def test_the_client_runs_its_tools_and_the_agent_goes_on_with_what_they_returned(server: Faced, content: object) -> None:
    agent_id = await server.agent("scripted/script")
    first = user(script([{"text": "Let me look."}, ROME], [{"text": "Sunny."}]))
    choice = await asked(server, agent_id, first)
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "Let me look.")
    assert choice["message"]["tool_calls"] == [CALL]
    choice = await asked(server, agent_id, first, called(CALL), returned(content))
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "Sunny.")
    stored = await history(server, agent_id)
    ((told,),) = [message["toolReturns"] for message in stored if message["role"] == "ROLE_TOOL"]
    assert (told["toolCallId"], told["status"]) == ("call_1", "TOOL_RETURN_STATUS_SUCCESS")
    assert told.get("text") or told["content"]["parts"][0]["text"] == "sunny"


@requirement("openai_tools")
async def test_a_stream_has_the_calls_whole_before_its_end_and_takes_their_returns(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    first = user(script([ROME, OSLO], [{"text": "Both."}]))
    body = {"model": agent_id, "stream": True, "tools": [TOOL]}
    *chunks, done = blocks_of((await server.http.post(CHAT, json=body | {"messages": [first]})).text)
    calls, end = [json.loads(chunk.removeprefix("data: "))["choices"][0] for chunk in chunks[-2:]]
    assert [(call["index"], call["id"]) for call in calls["delta"]["tool_calls"]] == [(0, "call_1"), (1, "call_2")]
    assert (end["finish_reason"], done) == ("tool_calls", "data: [DONE]")
    messages = [first, called(CALL), returned("sunny"), returned("", "call_2")]
    answer = await server.http.post(CHAT, json=body | {"messages": messages})
    assert '"content":"Both."' in answer.text


@requirement("openai_tools")
@pytest.mark.parametrize("parameters", [{}, {"parameters": None}, {"parameters": {}}, {"parameters": {"properties": {}}}])
async def test_a_tool_without_parameters_is_one(server: Faced, parameters: dict[str, Any]) -> None:
    agent_id = await server.agent("scripted/script")
    tool = {"type": "function", "function": {"name": "now"} | parameters}
    call = {"tool_call": {"name": "now", "arguments": {}, "id": "call_1"}}
    assert (await asked(server, agent_id, user(script(call)), tools=[tool]))["finish_reason"] == "tool_calls"


@requirement("openai_tools")
async def test_arguments_of_which_a_model_wrote_nothing_are_an_object(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    call = {"tool_call": {"name": "now", "arguments": "", "id": "call_1"}}
    choice = await asked(server, agent_id, user(script(call)), tools=[function("now")])
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "now", "arguments": "{}"}


@requirement("openai_tools")
async def test_an_agent_is_offered_no_tools_where_it_is_to_choose_none(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    choice = await asked(server, agent_id, user(script([ROME], [{"text": "Never mind."}])), tool_choice="none")
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "Never mind.")


CHOICES = ["required", function("get_weather"), allowed("required", "get_weather")]
NOTE = "archival_memory_insert"
KEEP = {"tool_call": {"name": NOTE, "arguments": {"content": "Rome"}, "id": "call_1"}}
# Would end after its first words, were it not made to call.
RELUCTANT = user(script([{"text": "Well."}], [ROME], [{"text": "Sunny."}]))


@requirement("openai_tool_choice")
@pytest.mark.parametrize("choice", CHOICES)
async def test_an_agent_calls_what_it_has_to_before_it_answers(server: Faced, choice: object) -> None:
    agent_id = await server.agent("scripted/script")
    assert (await asked(server, agent_id, RELUCTANT, tool_choice=choice))["message"]["tool_calls"] == [CALL]
    choice = await asked(server, agent_id, RELUCTANT, called(CALL), returned("sunny"))
    assert choice["message"]["content"] == "Sunny."


@requirement("openai_tool_choice")
async def test_an_agent_may_have_to_call_a_tool_of_its_own(server: Faced) -> None:
    agent_id = await server.agent("scripted/script", tools=[NOTE])
    first = user(script([{"text": "Well."}], [KEEP], [{"text": "Kept."}]))
    choice = await asked(server, agent_id, first, tool_choice=function(NOTE))
    assert choice["message"]["content"].endswith("Kept.")


@requirement("openai_tool_choice")
async def test_tools_that_are_not_allowed_are_not_offered(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    first = user(script([ROME], [{"text": "Never mind."}]))
    choice = await asked(server, agent_id, first, tool_choice=allowed("auto", "get_time"))
    assert (choice["finish_reason"], choice["message"]["content"]) == ("stop", "Never mind.")


@requirement("openai_tool_choice")
@pytest.mark.parametrize("before", [[], [RELUCTANT, called(CALL)], [RELUCTANT, called(CALL), returned("old", "call_0")]])
async def test_a_call_that_had_to_be_made_needs_no_return(server: Faced, before: list[dict[str, Any]]) -> None:
    agent_id = await server.agent("scripted/script")
    await asked(server, agent_id, RELUCTANT, tool_choice="required")
    assert await repeated(server, model=agent_id, messages=[*before, user(script([{"text": "Next."}]))]) == "Next."
    stored = await history(server, agent_id)
    ((told,),) = [message["toolReturns"] for message in stored if message["role"] == "ROLE_TOOL"]
    assert "The request was cancelled" in told["text"]


@requirement("openai_tools")
async def test_words_may_stand_behind_what_the_tools_returned(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    first = user(script([{"text": "Let me look."}, ROME, OSLO], [{"text": "Sunny."}]))
    await asked(server, agent_id, first)
    returns = [returned("sunny"), returned("snow", "call_2")]
    messages = [first, called(CALL), *returns, user(script([{"text": "Next."}]))]
    assert await repeated(server, model=agent_id, messages=messages, tools=[TOOL]) == "Next."
    *_, told, said, answer = await history(server, agent_id)
    assert [each["text"] for each in told["toolReturns"]] == ["sunny", "snow"]
    assert [message["role"] for message in (told, said, answer)] == ["ROLE_TOOL", "ROLE_USER", "ROLE_ASSISTANT"]


@requirement("openai_tool_choice")
async def test_what_waits_for_a_person_is_not_passed_by(server: Faced) -> None:
    agent_id = await server.agent("scripted/script", tools=[NOTE], tool_approvals={NOTE: True})
    await asked(server, agent_id, user(script([KEEP])), tool_choice=function(NOTE))
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": [user("and now?")]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "APPROVAL_PENDING")


@requirement("openai_tool_choice")
async def test_a_call_that_the_agent_chose_by_itself_is_not_passed_by(server: Faced) -> None:
    agent_id = await server.agent("scripted/script", tools=[NOTE])
    note = {"tool_call": {"name": NOTE, "arguments": {"text": "Rome"}, "id": "call_0"}}
    await asked(server, agent_id, user(script([note], [ROME], [{"text": "Sunny."}])), tool_choice=function(NOTE))
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": [user("and now?")]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "APPROVAL_PENDING")
    assert (await asked(server, agent_id, called(CALL), returned("sunny")))["message"]["content"] == "Sunny."


@requirement("openai_tool_choice")
async def test_words_do_not_end_the_run_of_an_answer_that_came_meanwhile(
    server: Faced, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_id = await server.agent("scripted/script")
    await asked(server, agent_id, user(script([ROME], [{"delay_ms": 300}, {"text": "Sunny."}])), tool_choice="required")
    sunny = messages_pb2.ToolReturn(tool_call_id="call_1", status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS, text="sunny")
    answer = messages_pb2.InputMessage(tool_returns=messages_pb2.ToolReturnsInput(returns=[sunny]))
    run_ids, stream_in_turn = [], Turns.stream_in_turn

    async def answered_meanwhile(
        turns: Turns, start: pb.StreamRunRequest, give_up: Callable[[str], Awaitable[bool]]
    ) -> AsyncGenerator[pb.StreamRunResponse, None]:
        try:
            async for response in stream_in_turn(turns, start, give_up):
                yield response
        except Failure:
            request = pb.CreateRunRequest(agent_id=agent_id, run=runs_pb2.RunSpec(messages=[answer]))
            run_ids.append((await server.wire.runs.CreateRun(request)).run.id)
            raise

    monkeypatch.setattr(Turns, "stream_in_turn", answered_meanwhile)
    choice = await asked(server, agent_id, user(script([{"text": "Next."}])))
    assert choice["message"]["content"] == "Next."
    assert [(await server.ended(run_id)).state for run_id in run_ids] == [runs_pb2.RUN_STATE_COMPLETED]


@requirement("openai_tool_choice")
async def test_those_who_pass_by_the_same_call_do_not_end_each_others_runs(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    await asked(server, agent_id, RELUCTANT, tool_choice="required")
    slow = user(script([{"delay_ms": 100}, {"text": "Next."}]))
    choices = await asyncio.gather(*(asked(server, agent_id, slow) for _ in range(4)))
    assert [choice["message"]["content"] for choice in choices] == ["Next."] * 4


@requirement("openai_tool_choice")
async def test_calls_that_had_to_be_made_do_not_stop_the_queue(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    calls = [{"tool_call": ROME["tool_call"] | {"id": f"call_{number}"}} for number in range(3)]
    starts = [user(script([{"delay_ms": 100}, call])) for call in calls]
    choices = await asyncio.gather(*(asked(server, agent_id, start, tool_choice="required") for start in starts))
    assert [choice["message"]["tool_calls"][0]["id"] for choice in choices] == ["call_0", "call_1", "call_2"]


@requirement("openai_tools", "openai_checks")
@pytest.mark.parametrize(
    ("change", "message", "param"),
    [
        ({"tool_choice": "any"}, "'required'", "tool_choice"),
        ({"tool_choice": "required", "tools": []}, "functions of 'tools'", "tool_choice"),
        ({"tool_choice": {"type": "custom", "custom": {"name": "x"}}}, "'allowed_tools'", "tool_choice"),
        ({"tool_choice": allowed("any", "get_weather")}, "'allowed_tools'", "tool_choice"),
        ({"tool_choice": allowed("auto")}, "'allowed_tools'", "tool_choice"),
        (
            {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": ["x"]}}},
            "functions",
            "tool_choice",
        ),
        ({"tool_choice": function("get_whether")}, "'get_whether' is neither a tool of the agent nor", "tool_choice"),
        ({"tools": {}, "functions": [TOOL["function"]]}, "'tools'", "functions"),
        ({"tools": "all"}, "must be a list", "tools"),
        ({"tools": [TOOL, {"type": "web_search"}]}, "of type 'function'", "tools[1]"),
        ({"tools": [{"type": "function", "function": {"name": "x", "parameters": 1}}]}, "'parameters'", "tools[0]"),
        ({"tools": [{"type": "function", "function": {"name": "x", "description": 1}}]}, "'description'", "tools[0]"),
        ({"messages": [{"role": "tool", "content": "sunny"}]}, "must be a text", "messages[0].tool_call_id"),
        ({"messages": [user("x"), returned(None)]}, "must be a 'string'", "messages[1].content"),
        ({"messages": [returned("x", "call_9")]}, "'call_9' waits for no answer", None),
    ],
)
async def test_what_is_wrong_with_tools_is_told_by_its_field(
    server: Faced, change: dict[str, Any], message: str, param: str | None
) -> None:
    body = {"model": await server.agent(), "messages": [user("x")], "tools": [TOOL]}
    answer = await server.http.post(CHAT, json=body | change)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "INVALID_REQUEST")
    assert message in error["message"]
    assert param in {None, error["param"]}


@requirement("openai_tools")
@pytest.mark.parametrize("before", [[], [returned("sunny")]])
async def test_words_without_all_of_the_returns_are_told_how_to_answer_the_calls(
    server: Faced, before: list[dict[str, Any]]
) -> None:
    agent_id = await server.agent("scripted/script")
    await asked(server, agent_id, user(script([ROME, OSLO])))
    answer = await server.http.post(CHAT, json={"model": agent_id, "messages": [*before, user("and now?")]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "APPROVAL_PENDING")
    assert "role 'tool'" in error["message"]
