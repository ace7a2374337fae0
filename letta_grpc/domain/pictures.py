"""Pictures in messages."""

from collections.abc import Iterable

from letta_grpc.domain.messages import ImagePart, InputPart

# A message is at most 1 MiB, its pictures included.
MAX_CONTENT_BYTES = 1_048_576
MAX_FETCHED_PICTURES = 16

_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)


def picture_type(data: bytes) -> str | None:
    """Return the media type that a picture's first bytes say, None if it is none that models are shown."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((media_type for beginning, media_type in _BEGINNINGS if data.startswith(beginning)), None)


def picture_bytes(picture: ImagePart) -> int:
    """Return how many bytes a picture has, without its address."""
    return len(picture.data) * 3 // 4 - picture.data[-2:].count("=")


def content_bytes(parts: Iterable[InputPart]) -> int:
    """Return how many bytes of text and pictures a content has."""
    return sum(picture_bytes(part) if isinstance(part, ImagePart) else len(part.text.encode()) for part in parts)
