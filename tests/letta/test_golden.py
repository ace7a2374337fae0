"""The same talk as in the transcripts of the reference server, by the same script: the same items in the same order, with the
same fields, and ids that hang together in the same way, apart from `improvements.py`."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.letta.improvements import improved
from tests.support.golden import Shape, shape_of, shape_of_stream
from tests.support.letta import TOOL, Frame, Site, call, frames_of, script, user

# Of one tenant, and of the provider's address, nothing is told.
NOT_TOLD = {"organization_id", "provider_id", "model_endpoint"}
GOLDEN = Path(__file__).parent / "golden"
HELLO = [{"text": "Hello there"}]
PIECES = [{"text": "Hel"}, {"text": "lo "}, {"text": "there"}]
CHECK = {"text": "Let me check."}
SLOW = [{"text": "word ", "repeat": 40}]
SAID = 10
STEPS: Mapping[str, Any] = {"streaming": True}
TOKENS: Mapping[str, Any] = {"streaming": True, "stream_tokens": True}
CLIENT_TOOL = {"name": "get_weather", "description": "Get weather.", "parameters": {"type": "object", "properties": {}}}
ASKS_CLIENT = {"tool_call": {"name": "get_weather", "arguments": '{"city":"Paris"}', "piece_chars": 8}}
AN_ERROR = [{"error": "MODEL_OVERLOADED"}]


def golden(name: str) -> list[Shape]:
    text = (GOLDEN / f"{name}.sse").read_text().rstrip("\n")
    return improved(shape_of_stream(frames_of(f"{text}\n\n")))


def golden_json(name: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads((GOLDEN / f"{name}.json").read_text())


def sent(site: Site, agent_id: str, text: str, **options: Any) -> list[Frame]:  # noqa: ANN401 - any JSON
    return site.stream(f"/v1/agents/{agent_id}/messages", {"messages": user(text), **options})


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("01_steps_text", script(HELLO), STEPS),
        ("02_tokens_text", script(PIECES), TOKENS),
        ("03_steps_tool", script([CHECK, call()], HELLO), STEPS),
        ("05_nopings", script(HELLO), {**STEPS, "include_pings": False}),
        ("07_background_tokens", script(SLOW), {**TOKENS, "background": True}),
        ("12_max_steps_1", script([CHECK, call()], HELLO), {**STEPS, "max_steps": 1}),
        ("13_llm_error_tokens", script(AN_ERROR), TOKENS),
        ("13b_llm_error_nopings", script(AN_ERROR), {**TOKENS, "include_pings": False}),
        ("20_tokens_tool", script([CHECK, call(pieces=2)], PIECES), TOKENS),
        ("21_parallel_tokens", script([call(), call()], PIECES), TOKENS),
    ],
)
def test_a_stream_has_the_shape_of_the_transcript(site: Site, name: str, text: str, options: Mapping[str, Any]) -> None:
    assert shape_of_stream(sent(site, site.agent(), text, **options)) == golden(name)


def test_the_transcripts_of_a_talk_with_an_approval(site: Site) -> None:
    agent_id = site.agent(toolApprovals={TOOL: True})
    asked = sent(site, agent_id, script([CHECK, call(pieces=2)], PIECES), **TOKENS)
    assert shape_of_stream(asked) == golden("30_approval_request_tokens")
    request = next(frame.data for frame in asked if frame.data and frame.data["message_type"] == "approval_request_message")
    run = site.get(f"/v1/runs/{request['run_id']}")
    assert_run_like(run, "30_run")
    approval = {"type": "approval", "tool_call_id": request["tool_call"]["tool_call_id"], "approve": True}
    answer = {"messages": [{"type": "approval", "approvals": [approval]}], **TOKENS}
    told = site.stream(f"/v1/agents/{agent_id}/messages", answer)
    assert shape_of_stream(told) == golden("33_approve")


def test_an_approval_is_asked_for_in_steps(site: Site) -> None:
    asked = sent(site, site.agent(toolApprovals={TOOL: True}), script([CHECK, call()], PIECES), **STEPS)
    assert shape_of_stream(asked) == golden("34_approval_request_steps")


def test_what_waits_is_told_before_the_stream_begins(site: Site) -> None:
    """The reference server's answer is a stream that fails without naming what waits (transcript 31)."""
    agent_id = site.agent(toolApprovals={TOOL: True})
    asked = sent(site, agent_id, script([CHECK, call()]), **STEPS)
    request = next(frame.data for frame in asked if frame.data and frame.data["message_type"] == "approval_request_message")
    for options in (TOKENS, {}):
        answer = site.post(f"/v1/agents/{agent_id}/messages", {"messages": user("hello"), **options})
        assert answer.status_code == 409
        assert answer.headers["x-should-retry"] == "false"
        detail = answer.json()["detail"]
        assert detail["code"] == "PENDING_APPROVAL"
        assert detail["pending_request_id"] == request["id"]
        assert detail["run_id"] == request["run_id"]
        assert detail["tool_call_ids"] == [request["tool_call"]["tool_call_id"]]


def test_the_transcripts_of_a_client_tool(site: Site) -> None:
    agent_id = site.agent()
    options = {**TOKENS, "client_tools": [CLIENT_TOOL]}
    asked = sent(site, agent_id, script([CHECK, ASKS_CLIENT], PIECES), **options)
    assert shape_of_stream(asked) == golden("40_client_tool_tokens")
    request = next(frame.data for frame in asked if frame.data and frame.data["message_type"] == "approval_request_message")
    returned = {
        "type": "tool",
        "tool_call_id": request["tool_call"]["tool_call_id"],
        "tool_return": "sunny",
        "status": "success",
    }
    answer = {"messages": [{"type": "tool_return", "tool_returns": [returned]}], **options}
    told = site.stream(f"/v1/agents/{agent_id}/messages", answer)
    assert shape_of_stream(told) == golden("41_client_tool_return")


def test_a_run_resumes_as_the_transcript_does(site: Site) -> None:
    whole = sent(site, site.agent(), script(SLOW), **TOKENS, background=True)
    first, *_ = (frame.data for frame in whole if frame.data)
    said = [frame.data["seq_id"] for frame in whole if frame.data and frame.data["message_type"] == "assistant_message"]
    # The transcript resumes behind the fourth piece; so do we, by its number.
    resumed = site.stream(f"/v1/runs/{first['run_id']}/stream", {"starting_after": said[3]})
    assert shape_of_stream(resumed) == golden("08_resume_from_5")
    assert resumed == whole[5:]


def test_a_cancelled_run_ends_as_the_transcript_does_and_tells_its_usage(site: Site) -> None:
    agent_id = site.agent()
    text = script([{"text": "word ", "repeat": SAID}, {"wait_for_cancel": True}])
    lines: list[str] = []
    cancelled = None
    body = {"messages": user(text), **TOKENS}
    with site.http.stream("POST", f"/v1/agents/{agent_id}/messages", json=body) as answer:
        for line in answer.iter_lines():
            lines.append(line)
            # All that will be said has been: from here on the model is silent for ever.
            if cancelled is None and sum("assistant_message" in each for each in lines) == SAID:
                cancelled = site.post(f"/v1/agents/{agent_id}/messages/cancel", {}).json()
    told = frames_of("\n".join(lines) + "\n")
    assert shape_of_stream(told) == golden("10_cancel_foreground")
    run_id = answer.headers["letta-run-id"]
    assert cancelled == {run_id: "cancelled"}
    assert_run_like(site.get(f"/v1/runs/{run_id}"), "10_run")
    # What was asked and said stays; there it vanishes.
    assert [item["message_type"] for item in site.get(f"/v1/runs/{run_id}/messages")] == ["user_message", "assistant_message"]


def test_a_blocking_answer_has_the_shape_of_the_transcript(site: Site) -> None:
    answer = site.post(f"/v1/agents/{site.agent()}/messages", {"messages": user(script(HELLO))}).json()
    theirs = golden_json("06_blocking")
    ours, expected = shape_of(answer), shape_of(theirs)
    expected["messages"] = improved([{"event": None} | item for item in expected["messages"]])[:1]
    expected["messages"][0].pop("event")
    expected["usage"] |= dict.fromkeys(("cached_input_tokens", "cache_write_tokens", "reasoning_tokens"))
    assert ours == expected


def test_the_default_conversation_answers_as_the_transcript_does(site: Site) -> None:
    body = {"agent_id": site.agent(), "messages": user(script(HELLO))}
    assert shape_of_stream(site.stream("/v1/conversations/default/messages", body)) == golden("61_conv_default")


def test_a_run_and_all_about_it_have_the_fields_of_the_transcripts(site: Site) -> None:
    told = sent(site, site.agent(), script(SLOW), **TOKENS, background=True)
    run_id = told[0].data["run_id"] if told[0].data else ""
    assert_run_like(site.get(f"/v1/runs/{run_id}"), "run")
    assert shape_of(site.get(f"/v1/runs/{run_id}/usage")) == shape_of(golden_json("run_usage"))
    assert site.get(f"/v1/runs/{run_id}/metrics").keys() == golden_json("run_metrics").keys()
    ours = site.get(f"/v1/runs/{run_id}/messages")
    theirs = golden_json("run_messages")
    assert [list(item) for item in ours] == [list(item) for item in theirs]
    assert [item["content"].startswith("word") for item in ours] == [False, True]


def test_steps_have_the_fields_of_the_transcript(site: Site) -> None:
    run = site.post(f"/v1/agents/{site.agent()}/messages", {"messages": user(script(HELLO))}).json()["messages"][0]["run_id"]
    (ours,), (theirs,) = site.get(f"/v1/runs/{run}/steps"), golden_json("run_steps")
    assert ours.keys() >= theirs.keys() - NOT_TOLD
    same = ("provider_category", "stop_reason", "status", "feedback", "error_type", "messages", "tags")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}


def test_a_tool_has_the_fields_of_the_transcript(site: Site) -> None:
    theirs = golden_json("tool_upsert")
    ours = site.http.put("/v1/tools/", json={"source_code": theirs["source_code"]}).json()
    assert ours.keys() >= theirs.keys() - NOT_TOLD
    same = ("name", "tool_type", "description", "return_char_limit", "source_code", "tags")
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    assert ours["json_schema"]["parameters"]["required"] == theirs["json_schema"]["parameters"]["required"]


def test_a_failed_run_keeps_its_error_as_the_transcript_does(site: Site) -> None:
    told = sent(site, site.agent(), script(AN_ERROR), **TOKENS)
    run = site.get(f"/v1/runs/{told[0].data['run_id'] if told[0].data else ''}")
    assert_run_like(run, "13_run")
    ours, theirs = run["metadata"]["error"], golden_json("13_run")["metadata"]["error"]
    assert shape_of(ours) == shape_of(theirs)


def test_a_conversation_has_the_fields_of_the_transcript(site: Site) -> None:
    answer = site.post(f"/v1/conversations/?agent_id={site.agent()}", {}).json()
    # Newer SDKs know more fields than the server of the transcript.
    assert answer.keys() >= golden_json("60_conv").keys()


def assert_run_like(run: dict[str, Any], name: str) -> None:
    theirs = golden_json(name)
    assert list(run) == list(theirs)
    same = ("status", "stop_reason", "background", "request_config")
    assert {field: run[field] for field in same} == {field: theirs[field] for field in same}
    # Where theirs has no measure, ours has.
    assert run["total_duration_ns"] > 0
