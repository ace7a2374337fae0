"""Pictures in the body of a chat completion."""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from letta_grpc.domain.messages import ContentPart, ImagePart, TextPart
from letta_grpc.domain.pictures import picture_type

# Twelve bytes say what a picture is.
_BEGINNING = 16


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
                written.append(_picture(part))
            case _:
                pass
    return written


def _picture(picture: ImagePart) -> dict[str, Any]:
    """Return a picture as what its bytes are: vendors refuse a context with any other, in every later step as well."""
    if not picture.data:
        return _shown(picture.url)
    media_type = _type_of(picture.data)
    if media_type is None:
        return {"type": "text", "text": f"[an image, {picture.media_type}: not shown]"}
    # Stored pictures have their data: no vendor has to reach where they came from.
    return _shown(f"data:{media_type};base64,{picture.data}")


def _shown(address: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": address}}


def _type_of(data: str) -> str | None:
    try:
        return picture_type(b64decode(data[:_BEGINNING], validate=True))
    except ValueError:
        return None
