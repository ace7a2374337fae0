"""Which blocks one agent may have."""

from datetime import UTC, datetime

import pytest

from letta_grpc.domain.blocks import MAX_AGENT_BLOCK_LIMITS, Block, check_together
from letta_grpc.domain.errors import InvalidRequest, NameTaken
from letta_grpc.domain.ids import new_block_id

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def block(label: str, limit: int = 100) -> Block:
    return Block(id=new_block_id(), label=label, value="", limit=limit, create_time=NOW, update_time=NOW)


def test_blocks_of_different_labels_go_together() -> None:
    check_together([block("human"), block("persona")], "blocks")


def test_two_blocks_of_one_label_do_not() -> None:
    with pytest.raises(NameTaken) as refused:
        check_together([block("human"), block("persona"), block("human")], "blocks")
    assert refused.value.metadata["name"] == "human"


def test_nor_do_more_characters_than_an_agent_may_hold() -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_together([block("human", MAX_AGENT_BLOCK_LIMITS), block("persona", 1)], "blocks")
    assert set(refused.value.fields) == {"blocks"}
