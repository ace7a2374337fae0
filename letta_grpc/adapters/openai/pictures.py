"""Pictures in the body of a chat completion."""

from collections.abc import Iterable
from typing import Any

from letta_grpc.domain.messages import ContentPart, ImagePart, TextPart


def pictures_in(content: Iterable[ContentPart]) -> list[ImagePart]:
    """Return the pictures of a content."""
    return [part for part in content if isinstance(part, ImagePart)]


def written_parts(content: Iterable[ContentPart]) -> list[dict[str, Any]]:
    """Return text and pictures as the protocol has them; other parts are left out."""
    written: list[dict[str, Any]] = []
    for part in content:
        match part:
            case TextPart(text=text) if text:
                written.append({"type": "text", "text": text})
            case ImagePart():
                written.append({"type": "image_url", "image_url": {"url": _address(part)}})
            case _:
                pass
    return written


def _address(picture: ImagePart) -> str:
    # Stored pictures have their data: no vendor has to reach where they came from.
    return f"data:{picture.media_type};base64,{picture.data}" if picture.data else picture.url
