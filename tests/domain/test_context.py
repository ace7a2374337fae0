import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.context import (
    IMAGE_TOKENS,
    compile_system,
    estimate_message_tokens,
    estimate_tokens,
    estimate_tool_tokens,
    package_return,
)
from letta_grpc.domain.ids import BlockId
from letta_grpc.domain.messages import (
    ContentPart,
    ImagePart,
    OmittedReasoningPart,
    ReasoningPart,
    RedactedReasoningPart,
    SummarizedReasoningPart,
    TextPart,
    ToolReturnStatus,
)
from tests.support.values import NOW, assistant, returned, tool_message


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


def test_tokens_are_estimated_by_bytes_rounded_up() -> None:
    assert [estimate_tokens(text) for text in ("", "a", "abcd", "abcde", "你好世界", "\ud800")] == [0, 1, 1, 2, 3, 1]


def test_a_message_costs_its_parts_its_calls_its_returns_and_their_framing() -> None:
    plain = estimate_message_tokens(assistant("a", words="four"))
    assert plain == 4 + estimate_tokens("four")
    assert estimate_message_tokens(assistant("a", "1", words="four")) == plain + 8 + estimate_tokens("tool{}")
    back = tool_message("b", "1")
    assert estimate_message_tokens(back) == 4 + 30 + estimate_tokens("fine")
    shown = replace(back.tool_returns[0], content=(TextPart("fine"), ImagePart(url="https://example.org/x.png")))
    assert estimate_message_tokens(replace(back, tool_returns=(shown,))) == estimate_message_tokens(back) + IMAGE_TOKENS


@pytest.mark.parametrize(
    ("part", "cost"),
    [
        (ImagePart(media_type="image/png", data="x" * 100_000), IMAGE_TOKENS),
        (ReasoningPart("x" * 40), 0),
        (ReasoningPart("x" * 40, signature="s" * 40), 20),
        (RedactedReasoningPart("x" * 40), 10),
        (OmittedReasoningPart(), 0),
        (SummarizedReasoningPart("x" * 40), 0),
    ],
)
def test_reasoning_costs_what_is_shown_of_it_and_a_picture_what_vendors_take(part: ContentPart, cost: int) -> None:
    assert estimate_message_tokens(replace(assistant("a"), content=(part,))) == 4 + cost


def test_a_tool_costs_its_definition() -> None:
    tool = ToolDefinition(name="look", description="Look.", parameters="{}")
    assert estimate_tool_tokens(tool) == 8 + estimate_tokens("lookLook.{}")
