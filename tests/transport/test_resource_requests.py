"""Reading what makes and changes agents, blocks and conversations: every broken rule at once, by the path of its field."""

import json

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.domain.agents import ModelSettings
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.context import Context
from letta_grpc.transport.convert import agents, blocks, conversations
from letta_grpc.transport.convert.contexts import context_to_pb
from letta_grpc.v1 import (
    agent_service_pb2,
    agents_pb2,
    block_service_pb2,
    blocks_pb2,
    conversation_service_pb2,
    conversations_pb2,
)
from tests.support.requests import AGENT, BLOCK, CONVERSATION, broken


def test_a_new_agent_keeps_what_it_is_told_and_asks_for_base_tools() -> None:
    agent = agents_pb2.Agent(
        name="ada",
        model="openai/gpt",
        model_settings=agents_pb2.ModelSettings(temperature=0.0, max_output_tokens=5, parallel_tool_calls=False),
        memory_blocks=[blocks_pb2.Block(id=BLOCK), blocks_pb2.Block(label="human", value="x", limit=7)],
        tags=["a", "b", "a"],
        timezone="Europe/Berlin",
    )
    new = agents.new_agent_from_pb(agent_service_pb2.CreateAgentRequest(agent=agent))
    assert (new.name, new.model, new.tags, new.timezone) == ("ada", "openai/gpt", ("a", "b"), "Europe/Berlin")
    assert new.model_settings == ModelSettings(temperature=0.0, max_output_tokens=5, parallel_tool_calls=False)
    assert [(block.id, block.label, block.limit) for block in new.memory_blocks] == [(BLOCK, "", None), (None, "human", 7)]


@pytest.mark.parametrize(
    ("tools", "include_base_tools", "gets_base_tools"),
    [
        ((), None, True),
        ((), True, True),
        ((), False, False),
        (("t",), None, False),
        (("t",), True, True),
        (("t",), False, False),
    ],
)
def test_base_tools_come_where_they_are_asked_for_or_nothing_is(
    tools: tuple[str, ...],
    include_base_tools: bool | None,  # noqa: FBT001 - a parameter of the test
    gets_base_tools: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    agent = agents_pb2.Agent(model="a/b", tools=tools)
    request = agent_service_pb2.CreateAgentRequest(agent=agent, include_base_tools=include_base_tools)
    new = agents.new_agent_from_pb(request)
    assert (new.tools, new.base_tools) == (tools, gets_base_tools)


def test_every_broken_rule_of_an_agent_is_told() -> None:
    agent = agents_pb2.Agent(
        name="x" * 257,
        model_settings=agents_pb2.ModelSettings(temperature=float("nan"), max_output_tokens=0),
        memory_blocks=[
            blocks_pb2.Block(label="two words", limit=0),
            blocks_pb2.Block(label="a", value="xx", limit=1),
            blocks_pb2.Block(label="a"),
            blocks_pb2.Block(id="block-7"),
        ],
        tools=[""],
        tags=[str(number) for number in range(65)],
        context_window=-1,
        timezone="Europe/Atlantis",
    )
    found = broken(lambda: agents.new_agent_from_pb(agent_service_pb2.CreateAgentRequest(agent=agent)))
    assert {path.removeprefix("agent.") for path in found} == {
        "name",
        "model",
        "model_settings.temperature",
        "model_settings.max_output_tokens",
        "memory_blocks[0].label",
        "memory_blocks[0].limit",
        "memory_blocks[1].label",
        "memory_blocks[1].value",
        "memory_blocks[2].label",
        "memory_blocks[3].id",
        "tools[0]",
        "tags",
        "context_window",
        "timezone",
    }


def test_a_mask_says_which_fields_change() -> None:
    request = agent_service_pb2.UpdateAgentRequest(
        agent_id=AGENT,
        agent=agents_pb2.Agent(name="ada", system="not named", tags=["a"], model="not/named"),
        update_mask=FieldMask(paths=["name", "tags", "timezone", "model_settings"]),
    )
    expected = {"name": "ada", "tags": ("a",), "timezone": "UTC", "model_settings": ModelSettings()}
    assert agents.agent_update_from_pb(request) == (AGENT, expected)


def test_a_field_that_the_mask_does_not_name_is_not_checked() -> None:
    request = agent_service_pb2.UpdateAgentRequest(
        agent_id=AGENT, agent=agents_pb2.Agent(name="x" * 500), update_mask=FieldMask(paths=["description"])
    )
    assert agents.agent_update_from_pb(request)[1] == {"description": ""}


@pytest.mark.parametrize("paths", [[], ["id"], ["tools.name"], ["model_settings.temperature"], ["name", "create_time"]])
def test_a_mask_names_fields_that_can_change(paths: list[str]) -> None:
    request = agent_service_pb2.UpdateAgentRequest(
        agent_id=AGENT, agent=agents_pb2.Agent(name="a"), update_mask=FieldMask(paths=paths)
    )
    assert set(broken(lambda: agents.agent_update_from_pb(request))) == {"update_mask"}


def test_a_block_changes_by_its_mask() -> None:
    block = blocks_pb2.Block(label="human", value="x", read_only=True)
    mask = FieldMask(paths=["value", "limit", "read_only"])
    by_id = blocks.block_update_from_pb(block_service_pb2.UpdateBlockRequest(block_id=BLOCK, block=block, update_mask=mask))
    assert by_id == (BLOCK, {"value": "x", "limit": 20_000, "read_only": True}, None)
    by_label = blocks.memory_update_from_pb(
        agent_service_pb2.UpdateMemoryBlockRequest(agent_id=AGENT, label="human", block=block, update_mask=mask)
    )
    assert by_label == (AGENT, "human", by_id[1], None)


def test_a_conversation_changes_by_its_mask() -> None:
    request = conversation_service_pb2.UpdateConversationRequest(
        conversation_id=CONVERSATION,
        conversation=conversations_pb2.Conversation(title="a", metadata={"k": "v"}),
        update_mask=FieldMask(paths=["title", "metadata"]),
    )
    assert conversations.conversation_update_from_pb(request) == (CONVERSATION, {"title": "a", "metadata": {"k": "v"}})


def test_a_tool_is_shown_as_an_openai_function() -> None:
    tool = ToolDefinition(name="f", description="does", parameters='{"type": "object"}')
    (told,) = context_to_pb(Context(system="", messages=(), tools=(tool,), parts=(), context_window=1), ["tools"]).tools
    function = {"name": "f", "description": "does", "parameters": {"type": "object"}}
    assert json.loads(told) == {"type": "function", "function": function}
