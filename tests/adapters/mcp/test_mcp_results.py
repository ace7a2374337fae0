"""How much of what a server answers becomes a result."""

import json

import pytest
from mcp.types import BlobResourceContents, CallToolResult, ContentBlock, EmbeddedResource, ImageContent, TextContent, Tool

from letta_grpc.adapters.mcp.results import MAX_BLOCKS, MAX_IMAGE_CHARACTERS, MAX_TEXT_CHARACTERS, result_of, signature_of
from letta_grpc.domain.messages import ImagePart, TextPart

PNG = "iVBORw0KGgo="
IMAGE = ImageContent(data=PNG, mime_type="image/png")


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


def test_an_error_without_a_word_is_told_as_one() -> None:
    assert result_of(CallToolResult(content=[], is_error=True)).text == "Error: the tool failed and did not say why."
    assert result_of(CallToolResult(content=[])).text == ""


def test_an_image_of_which_only_the_type_is_large_is_its_bytes() -> None:
    result = result_of(CallToolResult(content=[ImageContent(data=PNG, mime_type="image/" + "x" * MAX_IMAGE_CHARACTERS)]))
    assert result.content == (ImagePart(media_type="image/png", data=PNG),)


def test_an_image_that_is_too_large_is_left_out() -> None:
    result = result_of(CallToolResult(content=[ImageContent(data=PNG + "A" * MAX_IMAGE_CHARACTERS, mime_type="image/png")]))
    assert not result.content
    assert "too large" in result.text


def test_an_image_is_of_the_type_that_its_bytes_say() -> None:
    jpeg = ImageContent(data=PNG, mime_type="image/jpeg")
    assert result_of(CallToolResult(content=[jpeg])).content == (ImagePart(media_type="image/png", data=PNG),)


@pytest.mark.parametrize(
    ("media_type", "data", "note"),
    [
        ("image/svg+xml", "PHN2Zz4=", "[an image, image/svg+xml: not shown]"),
        ("image/png", "AAAA", "[an image, image/png: not shown]"),
        ("image/" + "x" * 1_000_000, "AAAA", f"[an image, image/{'x' * 94}: not shown]"),
        ("image/png", "not base64!", "[an image that is not base64: not shown]"),
        ("image/png", "A", "[an image that is not base64: not shown]"),
    ],
)
def test_what_models_cannot_be_shown_as_an_image_is_named_in_its_place(media_type: str, data: str, note: str) -> None:
    """A provider would refuse it in every later step of the conversation as well."""
    image = ImageContent(data=data, mime_type=media_type)
    resource = EmbeddedResource(resource=BlobResourceContents(uri="file:///a", blob=data, mime_type=media_type))
    for block in (image, resource):
        result = result_of(CallToolResult(content=[TextContent(text="here"), block]))
        assert (result.text, result.content) == (f"here\n{note}", ())


@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "additionalProperties": False}])
def test_a_tool_that_takes_nothing_has_the_properties_that_providers_insist_on(schema: dict[str, object]) -> None:
    parameters = json.loads(signature_of(Tool(name="now", input_schema=schema)).parameters)
    assert parameters == {**schema, "properties": {}}


def test_numbers_that_json_has_no_word_for_are_null_in_a_schema() -> None:
    tool = Tool(name="now", input_schema={"type": "object", "properties": {"ü": {"default": float("nan")}}})
    assert signature_of(tool).parameters == '{"type":"object","properties":{"ü":{"default":null}}}'
