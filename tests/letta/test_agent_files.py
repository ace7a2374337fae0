"""Agents that come as files of the reference server, and leave as such: by `letta-client`, unmodified."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import letta_client
import pytest
from letta_client import Letta

from letta_grpc.gateway.faces.letta.files.history import History
from tests.support.agent_file import SOURCE, agent, agent_file, call, message, text
from tests.support.letta import Client, Site, serving_site, user

Json = dict[str, Any]


def imported(client: Client, file: Json, **form: Any) -> Any:  # noqa: ANN401 - one of the SDK's types
    return client.agents.import_file(file=("agent.af", json.dumps(file).encode()), **form)


def only(client: Client, file: Json, **form: Any) -> Any:  # noqa: ANN401 - an AgentState
    answer = imported(client, file, **form)
    assert answer.left_out == []
    (agent_id,) = answer.agent_ids
    return client.agents.retrieve(agent_id)


def test_an_agent_comes_with_all_that_is_its_own(client: Client) -> None:
    made = only(client, agent_file())
    assert (made.name, made.system, made.description, made.timezone) == (
        "agent 0_copy",
        "You are kind.",
        "A friend.",
        "Europe/Rome",
    )
    assert (made.agent_type, made.model, made.tags, made.metadata) == (
        "letta_v1_agent",
        "scripted/echo",
        ["red"],
        {"team": "one", "size": 3},
    )
    assert (made.llm_config.context_window, made.llm_config.temperature, made.llm_config.max_tokens) == (9000, 0.5, 77)
    blocks = [(block.label, block.value, block.limit, block.read_only, block.metadata) for block in made.blocks]
    assert blocks == [("human", "Ada", 300, False, {}), ("team", "us", 5000, True, {"n": 1})]
    assert [secret.key for secret in made.secrets] == ["KEY"]
    assert {(rule.type, rule.tool_name) for rule in made.tool_rules} == {
        ("exit_loop", "weather_in"),
        ("requires_approval", "memory_insert"),
    }
    weather, insert = made.tools
    assert (weather.name, weather.source_code, weather.tags, weather.return_char_limit) == ("weather_in", SOURCE, ["sky"], 500)
    assert weather.json_schema["parameters"] == {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    }
    assert insert.tool_type == "letta_memory_core"


def test_its_history_comes_with_it_and_goes_on(client: Client, site: Site) -> None:
    made = only(client, agent_file())
    listed = list(client.agents.messages.list(made.id, order="asc"))
    told = [(item.message_type, getattr(item, "content", None) or getattr(item, "reasoning", None)) for item in listed]
    assert [kind for kind, _ in told] == [
        "user_message",
        "reasoning_message",
        "assistant_message",
        "tool_call_message",
        "tool_return_message",
        "assistant_message",
        "user_message",
        "approval_request_message",
        "approval_response_message",
        "tool_return_message",
        "assistant_message",
    ]
    assert listed[0].content[0].text == "How is it in Rome?"
    assert listed[0].content[1].source.data == "iVBORw0KGgo="
    assert (listed[1].reasoning, listed[1].signature) == ("I ask.", "seal")
    assert listed[3].tool_call.tool_call_id == "c1"
    assert (listed[4].tool_return, listed[4].status, listed[4].stdout) == ("sunny in Rome", "success", ["looked"])
    assert told[6] == ("user_message", "And in Oslo?")
    assert (listed[8].approvals[0].approve, listed[8].approvals[0].reason) == (False, "Too cold.")
    assert (listed[9].tool_return, listed[9].status) == ("denied", "error")
    assert listed[0].date.isoformat() == "2026-03-01T10:00:01+00:00"
    # The prompt is made anew: what it was then would tell the model of blocks as they were then.
    assert not any("### Memory" in str(content) for _, content in told)
    answer = client.agents.messages.create(made.id, input="still there?")
    assert answer.messages[-1].content == "still there?"
    assert len(site.get(f"/api/v1/agents/{made.id}/context")["context"]["messages"]) >= 10


def test_only_what_was_in_context_is_shown_behind_a_summary(client: Client, site: Site) -> None:
    shown = ["message-0", "message-5", "message-9"]
    made = only(client, agent_file(agent(in_context_message_ids=shown)))
    context = site.get(f"/api/v1/agents/{made.id}/context")["context"]["messages"]
    said = [each["content"][0]["text"] for each in context if "content" in each]
    assert "not shown" in said[0]
    assert said[1] == "And in Oslo?"
    assert len(list(client.agents.messages.list(made.id))) >= 11
    alert = json.dumps({"type": "system_alert", "message": "Before: weather.", "time": "now"})
    messages = [message(0, "system", text("x")), message(1, "user", text("old")), message(2, "user", text(alert))]
    messages += [message(3, "assistant", text("new"))]
    made = only(client, agent_file(agent(messages=messages, in_context_message_ids=["message-0", "message-2", "message-3"])))
    context = site.get(f"/api/v1/agents/{made.id}/context")["context"]["messages"]
    first, second = (each["content"][0]["text"] for each in context)
    assert "Before: weather." in first
    assert second == "new"


def test_an_agent_that_speaks_by_a_tool_is_heard(client: Client) -> None:
    said = call("c1", "send_message", '{"message": "Hello!", "request_heartbeat": false}')
    messages = [
        message(0, "system", text("x")),
        message(1, "user", text("Hi.")),
        message(2, "assistant", text("A greeting."), tool_calls=[said]),
        message(3, "tool", text('{"status": "OK", "message": "None", "time": "now"}'), tool_call_id="c1"),
    ]
    tools = [{"id": "tool-0", "name": "send_message", "tool_type": "letta_core"}]
    ids: Json = {"tool_ids": ["tool-0"], "tool_rules": [], "in_context_message_ids": []}
    file = agent_file(agent(agent_type="memgpt_agent", messages=messages, **ids), tools=tools)
    made = only(client, file)
    for one in (made, only(client, json.loads(client.agents.export_file(made.id)))):
        assert (one.agent_type, one.tools) == ("memgpt_v2_agent", [])
        listed = list(client.agents.messages.list(one.id, order="asc"))
        told = [(item.message_type, getattr(item, "content", None) or getattr(item, "reasoning", None)) for item in listed[:3]]
        assert told == [("user_message", "Hi."), ("reasoning_message", "A greeting."), ("assistant_message", "Hello!")]


def test_what_leaves_as_a_file_comes_back_the_same(client: Client) -> None:
    first = only(client, agent_file(), name="whole")
    client.agents.messages.create(first.id, input="one more")
    exported = json.loads(client.agents.export_file(first.id))
    again = only(client, exported, append_copy_suffix=False)
    assert again.name == "whole"

    def told(agent_id: str) -> list[Any]:
        own = {"id", "otid", "run_id", "step_id"}
        return [item.model_dump(exclude=own) for item in client.agents.messages.list(agent_id, order="asc")]

    assert told(again.id) == told(first.id)
    own = {"id", "created_at", "updated_at", "last_run_completion", "last_run_duration_ms", "last_stop_reason"}
    own |= {"memory", "blocks", "message_ids", "secrets", "tool_exec_environment_variables"}
    parts = [each.model_dump(exclude=own) for each in (first, again)]
    assert parts[0] == parts[1]
    assert [(block.label, block.value, block.limit) for block in again.blocks] == [
        (block.label, block.value, block.limit) for block in first.blocks
    ]
    assert json.loads(client.agents.export_file(first.id, scrub_messages=True))["agents"][0]["messages"][1:] == []


def test_a_file_says_what_it_has_no_place_for(client: Client) -> None:
    made = only(client, agent_file())
    client.agents.passages.create(made.id, text="A note.")
    conversation = client.conversations.create(agent_id=made.id)
    list(client.conversations.messages.create(conversation.id, messages=user("aside")))
    exported = json.loads(client.agents.export_file(made.id))
    assert exported["metadata"]["left_out"] == (
        f"1 other conversations, 1 archival notes: /api/v1/agents/{made.id}:export has all"
    )
    aside = json.loads(client.agents.export_file(made.id, conversation_id=conversation.id))
    assert [each["content"][0]["text"] for each in aside["agents"][0]["messages"][1:]] == ["aside", "aside"]


def test_agents_of_one_file_share_their_blocks(client: Client) -> None:
    group = {"id": "group-0", "agent_ids": ["agent-1"], "description": "", "manager_config": {}}
    group["manager_config"] = {"manager_type": "sleeptime", "manager_agent_id": "agent-0", "sleeptime_agent_frequency": 3}
    file = agent_file(agent(0), agent(1, messages=[], in_context_message_ids=[], block_ids=["block-1"]), groups=[group])
    answer = imported(client, file, append_copy_suffix=False)
    first, second = (client.agents.retrieve(agent_id) for agent_id in answer.agent_ids)
    assert [block.id for block in second.blocks] == [first.blocks[1].id]
    assert (first.managed_group.agent_ids, first.managed_group.sleeptime_agent_frequency) == ([second.id], 3)
    assert answer.left_out == []


def test_what_has_no_place_here_is_named(client: Client) -> None:
    file = agent_file(
        agent(tool_ids=["tool-0", "tool-1", "tool-2", "tool-3"], response_format={"type": "json_object"}),
        files=[{"id": "file-0"}],
        groups=[{"id": "group-0", "agent_ids": ["agent-0"], "manager_config": {"manager_type": "round_robin"}}],
    )
    packages = {"source_code": "def far() -> None: ...", "tool_type": "custom", "pip_requirements": [{"name": "requests"}]}
    file["tools"] += [{"id": "tool-2", "name": "web_search", "tool_type": "letta_builtin"}]
    file["tools"] += [{"id": "tool-3", "name": "far", "json_schema": {"name": "far"}, **packages}]
    answer = imported(client, file)
    told = "\n".join(answer.left_out)
    for word in ("agents.0.response_format", "files", "'web_search'", "'far'", "round_robin"):
        assert word in told
    made = client.agents.retrieve(answer.agent_ids[0])
    assert [tool.name for tool in made.tools] == ["weather_in", "memory_insert"]
    assert "'web_search'" in str(made.metadata["left_out_of_import"])


def with_tools(sources: Mapping[str, str], schema: Json) -> Json:
    """A file whose agent has these tools, all under one schema."""
    file = agent_file(agent(tool_ids=[f"tool-{name}" for name in sources], tool_rules=[]))
    file["tools"] += [
        {"id": f"tool-{name}", "name": name, "tool_type": "custom", "source_code": code}
        | {"json_schema": {"name": name, "description": "d"} | schema}
        for name, code in sources.items()
    ]
    return file


X = {"parameters": {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}}
RUNNING = {
    "w_bare": "def w_bare(x):\n    return x",
    "w_state": "def w_state(x: str, agent_state: 'AgentState') -> str:\n    return x if agent_state is None else 'no'",
    "w_self": "def w_self(self, x: str):\n    return x if self is None else 'no'",
    "w_else": "def another(x):\n    return x",
    "w_any": "def w_any(**named):\n    return named['x']",
}
NEVER_RUNNING = {
    "n_words": "this is no Python",
    "n_module": "import no_such_module\ndef n_module(x): ...",
    "n_none": "x = 1",
}


def test_tools_that_come_with_a_schema_run_as_they_did(client: Client) -> None:
    made = only(client, with_tools(RUNNING, X))
    assert [tool.name for tool in made.tools] == list(RUNNING)
    for tool in made.tools:
        assert list(tool.json_schema["parameters"]["properties"]) == ["x"]
        outcome = client.agents.tools.run(tool.name, agent_id=made.id, args={"x": "it runs"})
        assert (outcome.status, outcome.func_return) == ("success", "it runs"), tool.name


def test_tools_that_can_never_run_are_named_and_left_out(client: Client) -> None:
    bare, hinted = "def n_bare(x): ...", "def n_hinted(x: str): ..."
    file = with_tools({**NEVER_RUNNING, **RUNNING}, X)
    more = with_tools({"n_bare": bare, "n_hinted": hinted}, {})
    file["agents"] += [{**more["agents"][0], "id": "agent-1"}]
    file["tools"] += [tool for tool in more["tools"] if tool["name"].startswith("n_")]
    answer = imported(client, file)
    lacking = [*NEVER_RUNNING, "n_bare"]
    assert [next(name for name in lacking if f"'{name}'" in told) for told in answer.left_out] == lacking
    assert "agents.1.tools: 'n_bare': " in answer.left_out[-1]
    assert "no type hint" in answer.left_out[-1]
    first, second = (client.agents.retrieve(agent_id) for agent_id in answer.agent_ids)
    assert [tool.name for tool in first.tools] == list(RUNNING)
    assert [tool.name for tool in second.tools] == ["n_hinted"]
    # Without a schema in the file the source has the word.
    assert second.tools[0].json_schema["parameters"]["required"] == ["x"]
    assert "'n_words'" in str(first.metadata["left_out_of_import"])
    assert not {tool.name for tool in client.tools.list(limit=100)} & {*lacking}


def test_a_tool_that_is_here_stays_where_the_files_cannot_run(client: Client) -> None:
    only(client, with_tools({"s_here": "def s_here(x):\n    return 'here'"}, X))
    answer = imported(client, with_tools({"s_here": "import no_such_module\ndef s_here(x): ..."}, X))
    assert "'s_here'" in answer.left_out[0]
    outcome = client.agents.tools.run("s_here", agent_id=answer.agent_ids[0], args={"x": "a"})
    assert outcome.func_return == "here"


def test_two_tools_of_one_name_that_can_never_run_are_both_named(client: Client) -> None:
    file = with_tools({"n_module": NEVER_RUNNING["n_module"]}, X)
    file["tools"].append({**file["tools"][-1], "id": "tool-again"})
    file["agents"][0]["tool_ids"].append("tool-again")
    answer = imported(client, file)
    assert ["'n_module'" in told for told in answer.left_out] == [True, True]
    assert list(client.agents.tools.list(answer.agent_ids[0])) == []


def test_where_no_tool_can_run_a_file_keeps_its_tools_all_the_same(tmp_path: Path) -> None:
    with (
        serving_site(tmp_path, "--tool-sandbox", "off") as site,
        Letta(base_url=site.url, max_retries=0) as made,
    ):
        client: Client = made
        answer = imported(client, with_tools({"w_bare": RUNNING["w_bare"], "n_bare": "def n_bare(x): ..."}, X))
        kept = [tool.name for tool in client.agents.tools.list(answer.agent_ids[0])]
        assert (kept, answer.left_out) == (["w_bare", "n_bare"], [])


def test_an_import_that_fails_leaves_no_tool(client: Client) -> None:
    file = with_tools({"f_gone": "def f_gone(x): ..."}, X)
    file["agents"].append(agent(1, name="x" * 300, tool_ids=[]))
    with pytest.raises(letta_client.APIStatusError):
        imported(client, file)
    assert list(client.tools.list(name="f_gone")) == []


def test_a_tool_of_the_same_name_is_replaced_or_kept(client: Client) -> None:
    only(client, agent_file())
    other = agent_file()
    other["tools"][0]["source_code"] = SOURCE.replace("sunny", "rainy")
    kept = only(client, other, override_existing_tools=False)
    assert "sunny" in kept.tools[0].source_code
    replaced = only(client, other)
    assert "rainy" in replaced.tools[0].source_code
    assert replaced.tools[0].id == kept.tools[0].id
    only(client, agent_file())


def test_name_model_secrets_and_messages_can_be_chosen(client: Client) -> None:
    file = agent_file(agent(llm_config={"handle": "letta/letta-free", "context_window": 8000}))
    made = only(client, file, name="mine", model="scripted/script", secrets='{"KEY": "x", "MORE": "y"}', strip_messages=True)
    assert (made.name, made.model, list(client.agents.messages.list(made.id))) == ("mine", "scripted/script", [])
    assert [secret.key for secret in made.secrets] == ["KEY", "MORE"]
    with pytest.raises(letta_client.NotFoundError, match="letta-free"):
        imported(client, file)


def test_a_file_of_this_servers_own_format_is_taken_too(client: Client, site: Site) -> None:
    first = only(client, agent_file())
    own = site.get(f"/api/v1/agents/{first.id}:export")["file"]
    again = only(client, own, name="again")
    assert (again.name, again.system) == ("again", first.system)
    assert len(list(client.agents.messages.list(again.id))) == len(list(client.agents.messages.list(first.id)))


@pytest.mark.parametrize(
    "file",
    [
        {},
        {"agents": []},
        {"agents": "none"},
        agent_file(agent(block_ids=["block-9"])),
        agent_file(agent(tool_ids=["tool-9"])),
        agent_file(agent(agent_type="robot")),
        agent_file(agent(messages=[{"role": "oracle", "content": "x"}])),
        agent_file(agent(messages=[message(1, "tool", text("x"))])),
        agent_file(agent(messages=[message(1, "user", text("x"), created_at="yesterday")])),
        agent_file(agent(), agent(1, tool_rules=[{"type": "dance", "tool_name": "x"}])),
        agent_file(agent(metadata={"deep": json.loads("[" * 300 + "]" * 300)})),
    ],
)
def test_what_is_wrong_makes_nothing(client: Client, file: Json) -> None:
    before = client.agents.count() if hasattr(client.agents, "count") else len(list(client.agents.list()))
    with pytest.raises(letta_client.UnprocessableEntityError) as refused:
        imported(client, file)
    assert refused.value.response.headers["x-should-retry"] == "false"
    after = client.agents.count() if hasattr(client.agents, "count") else len(list(client.agents.list()))
    assert after == before


def test_what_is_no_json_is_told(client: Client) -> None:
    with pytest.raises(letta_client.UnprocessableEntityError, match="JSON"):
        client.agents.import_file(file=("agent.af", b"\x00 nothing"))


def test_an_agent_that_the_server_refuses_takes_the_others_with_it(tmp_path: Path) -> None:
    with serving_site(tmp_path) as site, Letta(base_url=site.url, max_retries=0) as made:
        client: Client = made
        long = agent(1, name="x" * 300, messages=[], in_context_message_ids=[])
        with pytest.raises(letta_client.APIStatusError):
            imported(client, agent_file(agent(0), long))
        assert list(client.agents.list()) == []


class Name(str):
    """An id that counts how often any is compared."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_long_history_is_read_in_one_go() -> None:
    asked: list[Json] = [
        {"id": Name(f"m-{n}"), "role": "assistant", "tool_calls": [call(f"c-{n}", "t", "{}")]} for n in range(300)
    ]
    answered: list[Json] = [
        {"id": Name(f"a-{n}"), "role": "approval", "approve": True, "approval_request_id": Name(f"m-{n}")} for n in range(300)
    ]
    shown = [Name("prompt"), *(each["id"] for each in (*asked, *answered))]
    talk = {"messages": [*asked, *answered], "in_context_message_ids": shown}
    Name.compared = 0
    read = History("agents.0", talk, speaks_by_tool=False, left_out=[]).conversation()
    assert [message.decisions[0].tool_call_id for message in read.messages[300:]] == [f"c-{n}" for n in range(300)]
    assert Name.compared < 10 * 600


def test_words_that_only_look_like_json_stay_as_they_are() -> None:
    deep = '{"message":' * 100_000
    said = [message(0, "user", text(deep)), message(1, "tool", text(deep), tool_call_id="c")]
    asked, answered = History("agents.0", {"messages": said}, speaks_by_tool=True, left_out=[]).conversation().messages
    assert (asked.content[0].text, answered.tool_returns[0].text) == (deep, deep)
