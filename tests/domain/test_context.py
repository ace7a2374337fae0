import json
from datetime import UTC, datetime

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.context import (
    compile_system,
    estimate_message_tokens,
    estimate_tokens,
    package_return,
)
from letta_grpc.domain.ids import BlockId
from letta_grpc.domain.messages import Message, ToolReturnStatus
from tests.support.values import NOW, assistant, returned


def block(label: str, value: str, **changes: object) -> Block:
    return Block(id=BlockId("block-1"), label=label, value=value, create_time=NOW, update_time=NOW, **changes)  # type: ignore[arg-type]  # any field


def test_the_system_prompt_is_the_instructions_when_there_is_no_memory() -> None:
    assert compile_system("Be kind.", ()) == "Be kind."


def test_every_block_stands_in_the_system_prompt_with_label_size_and_access() -> None:
    system = compile_system(
        "Be kind.", [block("human", "Ada", limit=10), block("rules", "x", read_only=True, description="Law")]
    )
    assert system.startswith("Be kind.\n\n<memory>\n")
    assert '<block label="human" characters="3/10">\nAda\n</block>' in system
    assert '<block label="rules" characters="1/20000" read_only="true">\nLaw\nx\n</block>' in system


def test_a_packaged_return_is_json_with_status_message_and_local_time() -> None:
    packaged = package_return(returned("1", "naïve\x00"), datetime(2030, 1, 1, 12, tzinfo=UTC), "Europe/Berlin")
    assert json.loads(packaged) == {"status": "OK", "message": "naïve", "time": "2030-01-01 01:00:00 PM CET+0100"}
    assert "naïve" in packaged
    failed = package_return(returned("1", "no", ToolReturnStatus.ERROR), NOW, "UTC")
    assert json.loads(failed)["status"] == "Failed"


def test_tokens_are_estimated_by_length_rounded_up() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde")] == [0, 1, 1, 2]
    message: Message = assistant("a", "1", words="four")
    assert estimate_message_tokens(message) == estimate_tokens("four" + "tool" + "{}")
