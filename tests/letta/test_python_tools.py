"""Tools and the rules about them through `letta-client` as PyPI has it, against the server in a process of its own."""

from typing import Any

import letta_client
import pytest

from tests.support.letta import Client

WEATHER = '''
def weather_in(city: str, days: int = 1) -> str:
    """Tell the weather.

    Args:
        city (str): Where.
        days (int): For how long.
    """
    print("looking out of the window")
    return f"sunny in {city} for {days}"
'''


EVERY_RULE = [
    {"type": "run_first", "tool_name": "a", "args": {"x": 1}},
    {"type": "continue_loop", "tool_name": "a"},
    {"type": "required_before_exit", "tool_name": "a"},
    {
        "type": "constrain_child_tools",
        "tool_name": "a",
        "children": ["b"],
        "child_arg_nodes": [{"name": "b", "args": {"y": 2}}],
    },
    {"type": "parent_last_tool", "tool_name": "a", "children": ["b"]},
    {
        "type": "conditional",
        "tool_name": "a",
        "child_output_mapping": {"yes": "b"},
        "default_child": "c",
        "require_output_mapping": True,
    },
]


def test_a_tool_is_made_found_changed_and_run(client: Client, agent_id: str) -> None:
    tool = client.tools.create(source_code=WEATHER, tags=["sky"])
    assert (tool.name, tool.description, tool.tool_type, tool.tags) == ("weather_in", "Tell the weather.", "custom", ["sky"])
    assert tool.json_schema["parameters"]["required"] == ["city"]
    assert client.tools.upsert(source_code=WEATHER.replace("Tell", "Say")).id == tool.id
    assert client.tools.retrieve(tool.id).description == "Say the weather."
    with pytest.raises(letta_client.ConflictError):
        client.tools.create(source_code=WEATHER)
    assert [each.id for each in client.tools.list(name="weather_in")] == [tool.id]
    assert [each.id for each in client.tools.list(search="WEATHER")] == [tool.id]
    assert [found.tool.id for found in client.tools.search(query="weather say")] == [tool.id]
    assert client.tools.update(tool.id, default_requires_approval=True, return_char_limit=99).return_char_limit == 99

    client.agents.tools.attach(tool.id, agent_id=agent_id)
    assert [each.name for each in client.agents.tools.list(agent_id)] == ["weather_in"]
    outcome = client.agents.tools.run("weather_in", agent_id=agent_id, args={"city": "Rome", "days": 2})
    assert (outcome.status, outcome.func_return, outcome.stdout) == (
        "success",
        "sunny in Rome for 2",
        ["looking out of the window"],
    )
    client.agents.tools.detach(tool.id, agent_id=agent_id)
    assert list(client.agents.tools.list(agent_id)) == []
    client.tools.delete(tool.id)
    assert list(client.tools.list(name="weather_in")) == []


def test_a_tool_knows_whose_it_is(client: Client) -> None:
    code = 'def whoami() -> str:\n    """Say."""\n    import os\n    return os.environ["LETTA_AGENT_ID"]\n'
    tool = client.tools.create(source_code=code)
    agent = client.agents.create(
        model="scripted/script", tool_ids=[tool.id], memory_blocks=[{"label": "human", "value": ""}], include_base_tools=False
    )
    answer = client.agents.messages.create(agent.id, input='[[{"tool_call": {"name": "whoami"}}], [{"text": "Done."}]]')
    assert next(item.tool_return for item in answer.messages if item.message_type == "tool_return_message") == agent.id
    assert client.agents.tools.run("whoami", agent_id=agent.id).func_return == agent.id


def test_a_schema_that_is_given_names_the_function_and_stands_for_its_hints(client: Client) -> None:
    code = "def main1(x, agent_state: 'AgentState'):\n    return [x, agent_state]\ndef helper1(y: str) -> str:\n    return y\n"
    named: dict[str, Any] = {"x": {"type": "integer"}, "agent_state": {}}
    parameters = {"type": "object", "properties": named, "required": ["x", "agent_state"]}
    schema = {"name": "main1", "description": "Do.", "parameters": parameters}
    made = client.tools.create(source_code=code, json_schema=schema)
    assert (made.name, made.description) == ("main1", "Do.")
    assert client.tools.upsert(source_code=code, json_schema=schema).id == made.id
    # What the model cannot give, it is not told of.
    shown = made.json_schema["parameters"]
    assert (list(shown["properties"]), shown["required"]) == (["x"], ["x"])
    agent_id = client.agents.create(model="scripted/echo", tool_ids=[made.id]).id
    outcome = client.agents.tools.run("main1", agent_id=agent_id, args={"x": 1})
    assert (outcome.status, outcome.func_return) == ("success", "[1,null]")
    assert client.tools.create(source_code=code.replace("helper1", "helper2")).name == "helper2"
    with pytest.raises(letta_client.BadRequestError, match="must be the name of a public function"):
        client.tools.create(source_code=code, json_schema={**schema, "name": "other1"})
    with pytest.raises(letta_client.BadRequestError, match="parameter x has no type hint"):
        client.tools.create(source_code="def other1(x): ...")


def test_every_tool_of_the_server_is_paged_through(client: Client) -> None:
    whole = [tool.id for tool in client.tools.list(limit=1000).items]
    assert len(whole) > 5
    assert [tool.id for tool in client.tools.list(limit=2)] == whole
    assert {tool.tool_type for tool in client.tools.list(return_only_letta_tools=True)} == {
        "letta_core",
        "letta_memory_core",
        "letta_multi_agent_core",
    }


def test_that_a_tool_needs_approval_is_one_of_an_agents_rules(client: Client) -> None:
    rules = [{"type": "requires_approval", "tool_name": "memory_insert"}, {"type": "exit_loop", "tool_name": "memory_rethink"}]
    agent = client.agents.create(model="scripted/echo", tool_rules=rules)

    def told(agent: Any) -> set[tuple[str, str]]:  # noqa: ANN401 - an AgentState
        return {(rule.type, rule.tool_name) for rule in agent.tool_rules}

    assert told(agent) == {("requires_approval", "memory_insert"), ("exit_loop", "memory_rethink")}
    client.agents.tools.update_approval("memory_insert", agent_id=agent.id, body_requires_approval=False)
    client.agents.tools.update_approval("memory_replace", agent_id=agent.id, body_requires_approval=True)
    assert told(client.agents.retrieve(agent.id)) == {("requires_approval", "memory_replace"), ("exit_loop", "memory_rethink")}
    changed = client.agents.update(
        agent.id, tool_rules=[{"type": "max_count_per_step", "tool_name": "x", "max_count_limit": 2}]
    )
    assert told(changed) == {("max_count_per_step", "x")}


def test_a_tool_that_wants_approval_by_itself_shows_as_a_rule_of_its_agents(client: Client, agent_id: str) -> None:
    code = 'def launch() -> str:\n    """Launch."""\n    return "gone"\n'
    tool = client.tools.create(source_code=code, default_requires_approval=True)

    def guarded(agent: Any) -> list[str]:  # noqa: ANN401 - an AgentState
        return [rule.tool_name for rule in agent.tool_rules if rule.type == "requires_approval"]

    assert guarded(client.agents.create(model="scripted/echo", tool_ids=[tool.id])) == ["launch"]
    attached = client.agents.tools.attach(tool.id, agent_id=agent_id)
    assert guarded(attached) == guarded(client.agents.update(agent_id, tool_rules=attached.tool_rules)) == ["launch"]
    assert guarded(client.agents.tools.update_approval("launch", agent_id=agent_id, body_requires_approval=False)) == []
    assert guarded(client.agents.retrieve(agent_id)) == []


def test_every_kind_of_rule_comes_back_as_it_was_given(client: Client, agent_id: str) -> None:
    told = client.agents.update(agent_id, tool_rules=EVERY_RULE).tool_rules
    assert [rule.model_dump(exclude={"prompt_template"}) for rule in told] == EVERY_RULE
