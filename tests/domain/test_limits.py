"""How much an agent may have."""

from dataclasses import replace

import pytest

from letta_grpc.domain.agents import MAX_SECRETS_BYTES, Agent, changed_agent
from letta_grpc.domain.blocks import MAX_AGENT_BLOCK_LIMITS, MAX_AGENT_BLOCKS, check_block_limits
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.tools import MAX_AGENT_TOOLS, with_tool
from tests.support.values import AGENT_ID, NOW

AGENT = Agent(id=AGENT_ID, name="ada", system="", model="m/m", create_time=NOW, update_time=NOW)


def test_blocks_are_limited_in_number_and_in_what_they_may_hold_together() -> None:
    check_block_limits([1] * MAX_AGENT_BLOCKS, "blocks")
    check_block_limits([MAX_AGENT_BLOCK_LIMITS], "blocks")
    with pytest.raises(InvalidRequest, match=f"at most {MAX_AGENT_BLOCKS} blocks"):
        check_block_limits([1] * (MAX_AGENT_BLOCKS + 1), "blocks")
    with pytest.raises(InvalidRequest, match=f"{MAX_AGENT_BLOCK_LIMITS} characters at most, not {MAX_AGENT_BLOCK_LIMITS + 1}"):
        check_block_limits([MAX_AGENT_BLOCK_LIMITS, 1], "blocks")


def test_a_tool_is_added_once_and_behind_the_others() -> None:
    agent = with_tool(with_tool(AGENT, "b"), "a")
    assert agent.tools == ("b", "a")
    assert with_tool(agent, "b") is agent


def test_an_agent_has_so_many_tools_and_no_more() -> None:
    full = replace(AGENT, tools=tuple(f"t{number}" for number in range(MAX_AGENT_TOOLS)))
    assert with_tool(full, "t0") is full
    with pytest.raises(InvalidRequest, match="as many as it may have"):
        with_tool(full, "one_more")


def test_the_values_of_secrets_that_stay_count_as_those_that_come() -> None:
    stands = replace(AGENT, secrets={"a": "x" * (MAX_SECRETS_BYTES - 10)})
    fits = changed_agent(stands, {"secrets": {"a": "", "b": "y" * 8}}, NOW)
    assert fits.secrets == {**stands.secrets, "b": "y" * 8}
    with pytest.raises(InvalidRequest) as refused:
        changed_agent(stands, {"secrets": {"a": "", "b": "é" * 5}}, NOW)
    assert refused.value.fields == {
        "agent.secrets": "must have at most 65536 bytes in all, has 65538 with the values that stay"
    }
