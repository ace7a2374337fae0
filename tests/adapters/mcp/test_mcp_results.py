"""How much of what a server answers becomes a result."""

from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent

from letta_grpc.adapters.mcp.results import MAX_BLOCKS, MAX_IMAGE_CHARACTERS, MAX_TEXT_CHARACTERS, result_of
from letta_grpc.domain.messages import TextPart

IMAGE = ImageContent(data="AAAA", mime_type="image/png")


def test_so_many_blocks_are_shown_and_the_others_counted() -> None:
    blocks: list[ContentBlock] = [TextContent(text="a")] * MAX_BLOCKS
    assert result_of(CallToolResult(content=blocks)).text == "\n".join("a" * MAX_BLOCKS)
    result = result_of(CallToolResult(content=[*blocks, IMAGE, *blocks]))
    assert result.text.endswith(f"a\n[cut: {MAX_BLOCKS} of {2 * MAX_BLOCKS + 1} blocks are shown]")
    assert not result.content


def test_blocks_of_nothing_are_blocks() -> None:
    result = result_of(CallToolResult(content=[IMAGE, *[TextContent(text="")] * 1_000_000]))
    assert len(result.content) == MAX_BLOCKS + 1
    assert result.content[-1] == TextPart(f"[cut: {MAX_BLOCKS} of 1000001 blocks are shown]")


def test_that_blocks_are_left_out_is_told_also_where_their_text_is_cut() -> None:
    long = TextContent(text="x" * MAX_TEXT_CHARACTERS)
    assert result_of(CallToolResult(content=[long] * 2000)).text.endswith(f"[cut: {MAX_BLOCKS} of 2000 blocks are shown]")


def test_an_image_of_which_only_the_type_is_large_is_too_large() -> None:
    image = ImageContent(data="AAAA", mime_type="image/" + "x" * MAX_IMAGE_CHARACTERS)
    result = result_of(CallToolResult(content=[image]))
    assert not result.content
    assert "left out" in result.text
