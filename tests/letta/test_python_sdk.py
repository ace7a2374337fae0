"""`letta-client` as PyPI has it, unmodified, against the server in a process of its own."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import letta_client
import pytest
from letta_client import Letta

from tests.support.letta import TOOL, Client, Site, call, kinds, named, said, script, serving_site, user

GET_WEATHER = {"name": "get_weather", "description": "Get weather.", "parameters": {"type": "object", "properties": {}}}
WORDS = [{"text": f"{number} "} for number in range(20)]
COUNT = "".join(f"{number} " for number in range(20))


def body_of(error: pytest.ExceptionInfo[letta_client.APIStatusError]) -> Any:  # noqa: ANN401 - any JSON
    return error.value.body


def test_an_answer_comes_whole(client: Client, site: Site) -> None:
    answer = client.agents.messages.create(site.agent("scripted/echo"), input="hello there")
    assert said(answer.messages) == "hello there"
    assert answer.stop_reason.stop_reason == "end_turn"
    assert answer.usage.total_tokens > 0
    assert answer.usage.step_count == 1


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_an_answer_comes_as_it_is_made(client: Client, site: Site, tokens: bool, background: bool) -> None:  # noqa: FBT001 - parameters
    text = script([{"reasoning": "Hm."}, *WORDS, call(pieces=3)], [{"text": "Done."}])
    stream = client.agents.messages.create(
        site.agent(), messages=user(text), streaming=True, stream_tokens=tokens, background=background
    )
    items = list(stream)
    assert (items[0].message_type, kinds(items[-2:])) == ("ping", ["stop_reason", "usage_statistics"])
    assert said(items) == f"{COUNT}Done."
    assert "".join(item.reasoning for item in items if item.message_type == "reasoning_message") == "Hm."
    returned = named(items, "tool_return_message")
    assert (returned.status, returned.name) == ("success", TOOL)
    assert (len([item for item in items if item.message_type == "tool_call_message"]) == 3) == tokens
    numbers = [item.seq_id for item in items[:-2]]
    assert numbers == sorted(set(numbers))
    assert {item.run_id for item in items[:-2]} == {items[0].run_id}


def test_the_older_route_streams_too(client: Client, site: Site) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        items = list(client.agents.messages.stream(site.agent("scripted/echo"), messages=user("hi you"), stream_tokens=True))
    assert said(items) == "hi you"


@contextmanager
def talking(folder: Path) -> Iterator[tuple[Client, Site]]:
    with serving_site(folder) as site, Letta(base_url=site.url, max_retries=0) as client:
        yield client, site


def test_a_background_run_resumes_in_the_middle_after_a_restart(tmp_path: Path) -> None:
    with talking(tmp_path) as (client, site):
        agent_id = site.agent()
        stream = client.agents.messages.create(
            agent_id, messages=user(script(WORDS)), streaming=True, stream_tokens=True, background=True
        )
        whole = list(stream)
        run_id, middle = whole[0].run_id, whole[7].seq_id
    with talking(tmp_path) as (client, _):
        again = list(client.runs.messages.stream(run_id, starting_after=middle))
        assert again == whole[8:]
        from_the_start = list(client.runs.messages.stream(run_id))
        assert from_the_start[1:] == whole[1:]
        conversation = list(client.conversations.messages.stream("default", agent_id=agent_id, run_id=run_id))
        assert conversation[1:] == whole[1:]


def test_a_run_that_the_server_left_open_goes_on_after_a_restart(tmp_path: Path) -> None:
    text = script([*WORDS[:5], {"delay_ms": 3000}, *WORDS[5:]])
    with talking(tmp_path) as (client, site):
        agent_id = site.agent()
        stream = client.agents.messages.create(
            agent_id, messages=user(text), streaming=True, stream_tokens=True, background=True
        )
        first = [next(stream) for _ in range(6)]
        run_id = first[0].run_id
        stream.close()
    with talking(tmp_path) as (client, _):
        rest = list(client.runs.messages.stream(run_id, starting_after=first[-1].seq_id))
        # What the step had said before is void: its message has another id, and says all.
        restarted = named(rest, "error_message")
        assert (restarted.error_type, restarted.detail) == ("step_restarted", first[-1].id)
        (message_id,) = {item.id for item in rest if item.message_type == "assistant_message"}
        assert said(item for item in rest if getattr(item, "id", "") == message_id) == COUNT
        assert kinds(rest[-2:]) == ["stop_reason", "usage_statistics"]
        assert client.runs.retrieve(run_id).status == "completed"


@pytest.mark.parametrize("approve", [True, False])
def test_a_call_waits_for_an_approval(client: Client, site: Site, approve: bool) -> None:  # noqa: FBT001 - a parameter
    agent_id = site.agent(toolApprovals={TOOL: True})
    asked = list(
        client.agents.messages.create(agent_id, messages=user(script([{"text": "May I?"}, call()], WORDS)), streaming=True)
    )
    request = named(asked, "approval_request_message")
    assert named(asked, "stop_reason").stop_reason == "requires_approval"
    with pytest.raises(letta_client.ConflictError) as refused:
        client.agents.messages.create(agent_id, input="hello?", streaming=True)
    assert body_of(refused)["detail"]["pending_request_id"] == request.id
    decision = {"type": "approval", "tool_call_id": request.tool_call.tool_call_id, "approve": approve, "reason": "No."}
    answer = client.agents.messages.create(agent_id, messages=[{"type": "approval", "approvals": [decision]}])
    returned = named(answer.messages, "tool_return_message")
    assert returned.status == ("success" if approve else "error")
    assert ("No." in returned.tool_return) != approve
    assert said(answer.messages) == COUNT
    listed = kinds(client.agents.messages.list(agent_id, order="asc"))
    assert listed == [
        "user_message",
        "assistant_message",
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]


def test_a_message_may_come_with_the_answer(client: Client, site: Site) -> None:
    agent_id = site.agent(toolApprovals={TOOL: True})
    request = named(
        client.agents.messages.create(agent_id, messages=user(script([call()]))).messages, "approval_request_message"
    )
    decision: Any = {"type": "approval", "tool_call_id": request.tool_call.tool_call_id, "approve": True}
    both: Any = [{"type": "approval", "approvals": [decision]}, *user(script(WORDS))]
    assert said(client.agents.messages.create(agent_id, messages=both).messages) == COUNT
    assert kinds(client.agents.messages.list(agent_id, order="asc"))[-3:] == [
        "tool_return_message",
        "user_message",
        "assistant_message",
    ]


def test_an_older_client_answers_the_request_as_a_whole(client: Client, site: Site) -> None:
    agent_id = site.agent(toolApprovals={TOOL: True})
    asked = client.agents.messages.create(agent_id, messages=user(script([call(), call()], WORDS)))
    request = named(asked.messages, "approval_request_message")
    older: Any = {"type": "approval", "approve": True, "approval_request_id": request.id}
    answer = client.agents.messages.create(agent_id, messages=[older])
    assert len(named(answer.messages, "tool_return_message").tool_returns) == 2
    assert said(answer.messages) == COUNT
    # A client that did not hear of it sends it again.
    assert client.agents.messages.create(agent_id, messages=[older]).messages == answer.messages
    with pytest.raises(letta_client.ConflictError):
        client.agents.messages.create(agent_id, messages=[older | {"approve": False}])
    # Each of them is looked up, and names all calls.
    with pytest.raises(letta_client.UnprocessableEntityError, match="must have at most 500, has 501"):
        client.agents.messages.create(agent_id, messages=[older] * 501)


def test_an_answer_may_be_given_in_parts(client: Client, site: Site) -> None:
    agent_id = site.agent(toolApprovals={TOOL: True})
    asked = client.agents.messages.create(agent_id, messages=user(script([call(), call()], WORDS)))
    first, second = named(asked.messages, "approval_request_message").tool_calls
    answers = [
        client.agents.messages.create(
            agent_id,
            messages=[
                {"type": "approval", "approvals": [{"type": "approval", "tool_call_id": each.tool_call_id, "approve": True}]}
            ],
        )
        for each in (first, second)
    ]
    assert [answer.stop_reason.stop_reason for answer in answers] == ["requires_approval", "end_turn"]
    assert said(answers[1].messages) == COUNT


def test_the_client_runs_a_tool(client: Client, site: Site) -> None:
    agent_id = site.agent()
    text = script([{"tool_call": {"name": "get_weather", "arguments": {"city": "Paris"}}}], WORDS)
    asked = client.agents.messages.create(agent_id, messages=user(text), client_tools=[GET_WEATHER])
    assert asked.stop_reason.stop_reason == "requires_approval"
    tool_call = named(asked.messages, "approval_request_message").tool_call
    assert json.loads(tool_call.arguments) == {"city": "Paris"}
    returned: Any = {"type": "tool", "tool_call_id": tool_call.tool_call_id, "tool_return": "sunny", "status": "success"}
    answer = client.agents.messages.create(
        agent_id,
        messages=[{"type": "approval", "approvals": [returned]}],
        client_tools=[GET_WEATHER],
    )
    assert said(answer.messages) == COUNT
    assert kinds(answer.messages) == ["assistant_message"]


def test_parallel_calls_are_told_apart_and_return_together(client: Client, site: Site) -> None:
    text = script([call(), call()], WORDS)
    items = list(client.agents.messages.create(site.agent(), messages=user(text), streaming=True, stream_tokens=True))
    calls = [item.tool_call.tool_call_id for item in items if item.message_type == "tool_call_message"]
    returned = named(items, "tool_return_message")
    assert [each.tool_call_id for each in returned.tool_returns] == calls
    assert len(set(calls)) == 2


def test_a_run_is_cancelled_while_its_model_is_silent(client: Client, site: Site) -> None:
    agent_id = site.agent()
    text = script([{"text": "So "}, {"wait_for_cancel": True}])
    stream = client.agents.messages.create(agent_id, messages=user(text), streaming=True, stream_tokens=True)
    items = [next(stream), next(stream)]
    assert client.agents.messages.cancel(agent_id) == {items[0].run_id: "cancelled"}
    items += list(stream)
    assert kinds(items) == ["ping", "assistant_message", "stop_reason", "usage_statistics"]
    assert named(items, "stop_reason").stop_reason == "cancelled"
    assert client.runs.retrieve(items[0].run_id).status == "cancelled"
    with pytest.raises(letta_client.ConflictError) as nothing:
        client.agents.messages.cancel(agent_id)
    assert body_of(nothing)["detail"]["code"] == "NO_ACTIVE_RUNS_TO_CANCEL"
    # The conversation goes on, and knows what was said.
    client.agents.messages.create(agent_id, messages=user(script(WORDS)))
    assert kinds(client.agents.messages.list(agent_id, order="asc"))[:2] == ["user_message", "assistant_message"]


def test_a_run_that_has_ended_is_not_said_to_be_cancelled(client: Client, site: Site) -> None:
    agent_id = site.agent()
    client.agents.messages.create(agent_id, messages=user(script([{"text": "So."}])))
    (ended,) = client.runs.list(agent_id=agent_id)
    assert client.agents.messages.cancel(agent_id, run_ids=[ended.id]) == {ended.id: "failed"}
    assert client.runs.retrieve(ended.id).status == "completed"


def test_what_comes_while_a_run_is_at_work_waits_its_turn(client: Client, site: Site) -> None:
    agent_id = site.agent()
    long = client.agents.messages.create(
        agent_id, messages=user(script([{"text": "So "}, {"wait_for_cancel": True}])), streaming=True, stream_tokens=True
    )
    run_id = next(long).run_id
    next(long)
    queued = client.agents.messages.create_async(agent_id, messages=user(script(WORDS)))
    assert queued.status == "created"
    client.agents.messages.cancel(agent_id, run_ids=[run_id])
    assert said(client.runs.messages.stream(queued.id)) == COUNT
    list(long)


def test_a_failed_run_is_told_with_its_kind(client: Client, site: Site) -> None:
    agent_id, text = site.agent(), script([{"error": "MODEL_RATE_LIMITED"}])
    with pytest.raises(letta_client.RateLimitError) as refused:
        client.agents.messages.create(agent_id, messages=user(text))
    assert body_of(refused)["error"]["type"] == "llm_rate_limit"
    assert refused.value.response.headers["x-should-retry"] == "false"
    seen = []
    with pytest.raises(letta_client.APIStatusError) as cut:
        seen += list(client.agents.messages.create(agent_id, messages=user(text), streaming=True))
    assert body_of(cut)["error_type"] == "llm_rate_limit"


def test_a_prompt_is_never_older_than_its_blocks(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/echo", system="Be kind.")
    client.agents.blocks.update("human", agent_id=agent_id, value="Her name is Ada.")
    conversation = client.conversations.create(agent_id=agent_id)
    for prompt in (client.agents.recompile(agent_id), client.conversations.recompile(conversation.id)):
        assert "Be kind." in prompt
        assert "Her name is Ada." in prompt


def test_a_run_has_a_model_and_instructions_of_its_own(client: Client, site: Site) -> None:
    agent_id = site.agent("scripted/script")
    answer = client.agents.messages.create(
        agent_id, input="hello", override_model="scripted/echo", override_system="Be brief."
    )
    assert said(answer.messages) == "hello"
    with pytest.raises(letta_client.NotFoundError):
        client.agents.messages.create(agent_id, input="hello", override_model="nobody/knows")


def test_a_script_that_goes_on_ends_at_its_limit(client: Client, site: Site) -> None:
    answer = client.agents.messages.create(site.agent(), messages=user(script([call()], [call()], WORDS)), max_steps=2)
    assert answer.stop_reason.stop_reason == "max_steps"
    assert answer.usage.step_count == 2


@pytest.mark.parametrize(
    "body",
    [{}, {"messages": []}, {"messages": user("x"), "input": "y"}, {"messages": [{"role": "assistant", "content": "x"}]}],
)
def test_a_body_that_is_no_message_is_refused_before_anything_starts(site: Site, body: dict[str, Any]) -> None:
    answer = site.post(f"/v1/agents/{site.agent()}/messages", body)
    assert answer.status_code == 422
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["detail"]
