"""Whatever stands in a body's place, the face refuses it by name or takes it: it never breaks."""

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.agent_file import agent_file
from tests.support.letta import Site

Json = Any
Path = tuple[str | int, ...]
WRONG: list[Json] = [None, 5, -1, 1e30, True, "x", [], {}, [None], [5], {"a": 1}, "2026-13-45", 2**70, [[]], {"type": "text"}]
RULES = [
    {
        "type": "constrain_child_tools",
        "tool_name": "x",
        "children": ["a"],
        "child_arg_nodes": [{"name": "a", "args": {"x": 1}}],
    },
    {"type": "conditional", "tool_name": "x", "child_output_mapping": {"a": "b"}, "require_output_mapping": True},
]
TEXT = {"type": "message", "role": "user", "content": [{"type": "text", "text": "x"}], "otid": "o"}
ANSWERS = [
    {"type": "approval", "tool_call_id": "c", "approve": False, "reason": "x"},
    {"type": "tool", "tool_call_id": "d", "status": "success", "tool_return": "x", "stdout": ["a"], "stderr": ["b"]},
]
RUN_ID, TOOL_ID, BLOCK_ID = (f"{kind}-00000000-0000-4000-8000-000000000001" for kind in ("run", "tool", "block"))
BODIES: list[tuple[str, str, Json]] = [
    (
        "POST",
        "/v1/agents/{a}/messages",
        {"messages": [TEXT], "max_steps": 3, "client_tools": [{"name": "n", "parameters": {}}]},
    ),
    ("POST", "/v1/agents/{a}/messages", {"messages": [{"type": "approval", "approvals": ANSWERS, "otid": "u"}]}),
    ("POST", "/v1/agents/{a}/messages", {"messages": [{"type": "approval", "approve": True, "approval_request_id": "m"}]}),
    ("POST", "/v1/agents/{a}/messages/async", {"input": "hi", "override_model": "scripted/echo", "override_system": "x"}),
    ("POST", "/v1/agents/{a}/messages/cancel", {"run_ids": ["run-00000000-0000-4000-8000-000000000001"]}),
    (
        "POST",
        "/v1/messages/search",
        {"query": "x", "agent_id": "{a}", "roles": ["user"], "limit": 3, "start_date": "2020-01-01"},
    ),
    ("POST", "/v1/passages/search", {"query": "x", "agent_id": "{a}", "tags": ["a"], "limit": 3, "tag_match_mode": "all"}),
    ("PATCH", "/v1/agents/{a}", {"tool_rules": RULES, "model_settings": {"reasoning": {"reasoning_effort": "low"}}}),
    ("PATCH", "/v1/agents/{a}", {"metadata": {"a": 1}, "secrets": {"A": "b"}, "block_ids": [], "tool_ids": [], "tags": ["x"]}),
    (
        "POST",
        "/v1/agents/",
        {"name": "x", "model": "scripted/echo", "memory_blocks": [{"label": "a", "value": "b", "limit": 5}]},
    ),
    ("POST", "/v1/blocks/", {"label": "a", "value": "b", "limit": 9, "metadata": {}}),
    ("POST", "/v1/conversations/?agent_id={a}", {"summary": "x", "model": "scripted/echo", "hidden": True, "archived": False}),
    ("POST", "/v1/agents/{a}/archival-memory", {"text": "x", "tags": ["a"], "created_at": "2020-01-01"}),
    ("POST", "/v1/tools/search", {"query": "x", "tags": ["a"], "tool_types": ["custom"], "limit": 3}),
    ("POST", "/v1/agents/{a}/summarize", {"compaction_settings": {"mode": "all"}}),
    ("PATCH", "/v1/agents/{a}/tools/approval/x", {"requires_approval": True}),
    ("POST", "/v1/conversations/default/stream", {"agent_id": "{a}", "run_id": "run-1", "starting_after": 1}),
    ("POST", "/v1/conversations/{a}/fork", {"message_id": "x"}),
]


def places(value: Json, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield from places(part, (*path, key))


def with_wrong(body: Json, path: Path, wrong: Json) -> Json:
    copy = json.loads(json.dumps(body))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = wrong
    return copy


@pytest.mark.parametrize(("verb", "path", "body"), BODIES, ids=lambda each: each if isinstance(each, str) else "")
def test_a_wrong_value_anywhere_is_refused_or_let_be(site: Site, verb: str, path: str, body: Json) -> None:
    agent_id = site.agent("scripted/echo")
    chance = random.Random(path)  # noqa: S311 - a sample, always the same
    filled = json.loads(json.dumps(body).replace("{a}", agent_id))
    for place in places(filled):
        for wrong in chance.sample(WRONG, 3):
            sent = with_wrong(filled, place, wrong)
            answer = site.http.request(verb, path.replace("{a}", agent_id), json=sent)
            assert answer.status_code < 500 or answer.status_code == 501, (place, wrong, answer.text)


@pytest.mark.parametrize(
    ("asked", "body", "field", "rule"),
    [
        ("POST /v1/agents/{a}/messages", {"input": "x", "max_steps": True}, "max_steps", "must be a number from 1 on"),
        ("POST /v1/agents/{a}/messages", {"input": "x", "override_model": 5}, "override_model", "must be a string"),
        ("POST /v1/agents/{a}/messages", {"input": "x", "override_system": [5]}, "override_system", "must be a string"),
        ("PATCH /v1/agents/{a}", {"name": 5}, "name", "must be a string"),
        ("PATCH /v1/agents/{a}", {"tags": "x"}, "tags", "must be a list"),
        ("PATCH /v1/agents/{a}", {"tags": ["x", 5]}, "tags[1]", "must be a string"),
        ("PATCH /v1/agents/{a}", {"model_settings": {"temperature": [1]}}, "temperature", "must be a number"),
        ("POST /v1/blocks/", {"label": "a", "value": "b", "limit": True}, "limit", "must be an integer"),
        ("POST /v1/blocks/", {"label": "a", "value": "b", "read_only": "yes"}, "read_only", "must be true or false"),
    ],
)
def test_a_refusal_names_the_field_and_what_would_be_right(site: Site, asked: str, body: Json, field: str, rule: str) -> None:
    verb, _, path = asked.replace("{a}", site.agent("scripted/echo")).partition(" ")
    answer = site.http.request(verb, path, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"] == [{"loc": ["body", field], "msg": rule, "type": "value_error"}]


def test_a_wrong_value_in_an_agent_file_is_refused_or_let_be(site: Site) -> None:
    chance, file = random.Random(7), agent_file()  # noqa: S311 - a sample, always the same
    for place in chance.sample(list(places(file)), 60):
        wrong = chance.choice(WRONG)
        answer = site.post("/v1/agents/import", with_wrong(file, place, wrong))
        assert answer.status_code < 500 or answer.status_code == 501, (place, wrong, answer.text)


@pytest.mark.parametrize(
    ("path", "field", "body"),
    [
        ("/v1/agents/", "tool_ids", {"tool_ids": [TOOL_ID]}),
        ("/v1/agents/", "block_ids", {"block_ids": [], "memory_blocks": [{"label": "x", "value": "y"}]}),
        ("/v1/agents/{a}/messages/cancel", "run_ids", {"run_ids": [RUN_ID]}),
        ("/v1/passages/search", "tags", {"query": "x", "tags": ["x"]}),
    ],
)
def test_no_body_makes_the_gateway_call_the_server_without_end(site: Site, path: str, field: str, body: Json) -> None:
    """Ten thousand calls at once would hold all others up for seconds."""
    agent_id = site.agent()
    given = body[field] * 501 or [BLOCK_ID[:-3] + f"{number:03}" for number in range(501)]
    answer = site.post(path.format(a=agent_id), {"model": "scripted/echo", "agent_id": agent_id, **body, field: given})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"] == [
        {"loc": ["body", field], "msg": "must have at most 500, has 501", "type": "value_error"}
    ]
