"""What a tool of an MCP server answers, as a result of ours."""

import json
from base64 import b64decode
from collections.abc import Iterator, Sequence

from mcp import types
from pydantic_core import to_json

from letta_grpc.domain.messages import ImagePart, InputPart, TextPart, ToolReturnStatus
from letta_grpc.domain.pictures import picture_type
from letta_grpc.domain.tools import ToolSignature
from letta_grpc.ports.tools import ToolResult

# An answer must fit into an event of 2 MiB, together with those of the other calls of its step.
MAX_TEXT_CHARACTERS = 400_000
MAX_IMAGE_CHARACTERS = 1_000_000
# Each costs something beside what it says: there can be as many as bytes.
MAX_BLOCKS = 1000
MAX_DESCRIPTION_CHARACTERS = 4096
_MAX_TYPE = 100


def signature_of(tool: types.Tool) -> ToolSignature:
    """Return what a server says of a tool."""
    return ToolSignature(
        name=tool.name,
        description=(tool.description or tool.title or "")[:MAX_DESCRIPTION_CHARACTERS],
        # Without properties providers refuse every request that has the tool; of MCP's they are no duty.
        parameters=to_json({"type": "object", "properties": {}, **tool.input_schema}, inf_nan_mode="null").decode(),
    )


def result_of(answer: types.CallToolResult) -> ToolResult:
    """Return a result. What a model cannot be shown is named in its place; what is too large is cut, and says so.

    Structured content is shown where the answer has no text: servers are asked to send it as text too.
    """
    parts = list(_parts(answer.content[:MAX_BLOCKS]))
    if answer.structured_content is not None and not any(isinstance(part, TextPart) for part in parts):
        parts.append(TextPart(json.dumps(answer.structured_content, ensure_ascii=False)))
    if answer.is_error and not parts:
        parts.append(TextPart("Error: the tool failed and did not say why."))
    fitting = (*_fitting(parts), *_left_out(len(answer.content)))
    has_images = any(isinstance(part, ImagePart) for part in fitting)
    return ToolResult(
        status=ToolReturnStatus.ERROR if answer.is_error else ToolReturnStatus.SUCCESS,
        text="\n".join(part.text for part in fitting if isinstance(part, TextPart)),
        content=fitting if has_images else (),
    )


def _parts(blocks: Sequence[types.ContentBlock]) -> Iterator[InputPart]:
    for block in blocks:
        match block:
            case types.TextContent():
                yield TextPart(block.text)
            case types.ImageContent():
                yield _picture(block.mime_type, block.data)
            case types.AudioContent():
                yield TextPart(f"[audio, {block.mime_type}: not shown]")
            case types.ResourceLink():
                yield TextPart(f"[resource {block.name}: {block.uri}]")
            case types.EmbeddedResource():
                yield _resource_part(block.resource)


def _left_out(blocks: int) -> Iterator[TextPart]:
    if blocks > MAX_BLOCKS:
        yield TextPart(f"[cut: {MAX_BLOCKS} of {blocks} blocks are shown]")


def _resource_part(resource: types.TextResourceContents | types.BlobResourceContents) -> InputPart:
    match resource:
        case types.TextResourceContents():
            return TextPart(resource.text)
        case types.BlobResourceContents(mime_type=str(media_type)) if media_type.startswith("image/"):
            return _picture(media_type, resource.blob)
        case types.BlobResourceContents():
            return TextPart(f"[resource {resource.uri}, {resource.mime_type or 'of unknown type'}: not shown]")


def _picture(media_type: str, data: str) -> InputPart:
    """Return a picture as what its bytes are: providers refuse a context with any other, in every later step as well."""
    if len(data) > MAX_IMAGE_CHARACTERS:
        return ImagePart(media_type=media_type, data=data)  # It will not fit.
    try:
        shown = picture_type(b64decode(data, validate=True))
    except ValueError:
        return TextPart("[an image that is not base64: not shown]")
    if shown is None:
        return TextPart(f"[an image, {media_type[:_MAX_TYPE]}: not shown]")
    return ImagePart(media_type=shown, data=data)


def _fitting(parts: Sequence[InputPart]) -> Iterator[InputPart]:
    room_for_text, room_for_images = MAX_TEXT_CHARACTERS, MAX_IMAGE_CHARACTERS
    for part in parts:
        match part:
            case TextPart(text) if len(text) > room_for_text:
                yield TextPart(f"{text[:room_for_text]}\n[cut: {room_for_text} of {len(text)} characters are shown]")
                room_for_text = 0
            case TextPart(text):
                room_for_text -= len(text)
                yield part
            case ImagePart(_, data) if len(data) > room_for_images:
                yield TextPart(f"[an image of {len(data) * 3 // 4} bytes is left out: it is too large]")
            case ImagePart(_, data):
                room_for_images -= len(data)
                yield part
