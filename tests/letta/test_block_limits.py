"""How much blocks may hold: as much as on the reference server, as far as there is room for it here."""

import json
from typing import Any

import pytest

from tests.support.agent_file import agent, agent_file
from tests.support.letta import Client

Json = dict[str, Any]


def limits(client: Client, blocks: list[Json], **more: Any) -> list[int]:  # noqa: ANN401 - any field
    made = client.agents.create(model="scripted/echo", memory_blocks=blocks, include_base_tools=False, **more)
    return [block.limit for block in client.agents.retrieve(made.id).blocks]


def blocks_of(number: int, **fields: Any) -> list[Json]:  # noqa: ANN401 - any JSON
    return [{"label": f"part/{place}", "value": "x", **fields} for place in range(number)]


def imported(client: Client, blocks: list[Json], *agents: list[int]) -> tuple[list[list[int]], list[str]]:
    """The limits of the blocks of each agent of a file, and what is told of it."""
    ids = [{"block_ids": [f"block-{place}" for place in places]} for places in agents]
    plain: Json = {"messages": [], "in_context_message_ids": [], "tool_ids": [], "tool_rules": []}
    stored = [{**block, "id": f"block-{place}"} for place, block in enumerate(blocks)]
    file = agent_file(*(agent(place, **plain, **each) for place, each in enumerate(ids)), blocks=stored)
    answer = client.agents.import_file(file=("agent.af", json.dumps(file).encode()))
    made = [client.agents.retrieve(agent_id) for agent_id in answer.agent_ids]
    told: list[str] = answer.left_out
    return [[block.limit for block in one.blocks] for one in made], told


def test_a_new_block_may_hold_what_it_may_on_the_reference_server(client: Client) -> None:
    block = client.blocks.create(label="notes", value="x" * 30_000)
    assert (block.limit, client.blocks.create(label="notes", value="x", limit=5).limit) == (100_000, 5)
    assert limits(client, [{"label": "human", "value": "x" * 30_000}, {"label": "team", "value": "", "limit": 7}]) == [
        100_000,
        7,
    ]
    assert client.blocks.update(block.id, description="Which stay as they are.").limit == 100_000


@pytest.mark.parametrize("sleeptime", [False, True])
def test_many_blocks_share_the_room_that_an_agent_has(client: Client, sleeptime: bool) -> None:  # noqa: FBT001 - a case
    assert limits(client, blocks_of(8), enable_sleeptime=sleeptime) == [60_000] * 8
    stored = client.blocks.create(label="stored", value="x", limit=80_000)
    given: list[Json] = [
        {"label": "large", "value": "x" * 90_000},
        {"label": "own", "value": "", "limit": 10_000},
        *blocks_of(6),
    ]
    assert limits(client, given, block_ids=[stored.id]) == [90_000, 10_000, *[50_000] * 6, 80_000]


def test_larger_limits_of_a_file_are_lowered_and_that_is_told(client: Client) -> None:
    blocks: list[Json] = [
        {"label": "huge", "value": "x", "limit": 2**40},
        {"label": "fits", "value": "x", "limit": 100_000},
        {"label": "unsaid", "value": "x" * 30_000, "limit": None},
    ]
    found, told = imported(client, blocks, [0, 1, 2])
    assert found == [[100_000] * 3]
    assert told == [f"blocks.0.limit: {2**40} is 100000 here"]


def test_agents_of_a_file_share_blocks_that_fit_into_each_of_them(client: Client) -> None:
    found, told = imported(client, blocks_of(9, limit=100_000), [0, 1, 8], [*range(8)])
    assert found == [[62_500, 62_500, 100_000], [62_500] * 8]
    assert told == [f"blocks.{place}.limit: 100000 is 62500 here" for place in (0, 1, *range(2, 8))]
