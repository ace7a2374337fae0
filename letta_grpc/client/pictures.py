"""What a person shows: `client.stream(agent_id, user("What is this?", image("cat.png")))`."""

from os import PathLike
from pathlib import Path

from letta_grpc.v1 import messages_pb2

_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def image(
    source: str | PathLike[str] | bytes | None = None, *, url: str | None = None, media_type: str | None = None
) -> messages_pb2.ContentPart:
    """Return a picture: a file, its bytes, or an address that the server fetches once.

    The media type is what the first bytes say, unless it is given. Raises ValueError for what is no PNG, JPEG, GIF or WebP.
    """
    if (source is None) == (url is None):
        raise ValueError("a picture is a file, bytes, or a url")
    if url is not None:
        return messages_pb2.ContentPart(image=messages_pb2.Image(url=url))
    data = source if isinstance(source, bytes) else Path(source or "").read_bytes()
    return messages_pb2.ContentPart(image=messages_pb2.Image(data=data, media_type=media_type or _media_type(data)))


def user(*parts: str | messages_pb2.ContentPart) -> messages_pb2.InputMessage:
    """Return one message of a person's, of texts and pictures in this order."""
    pieces = [messages_pb2.ContentPart(text=part) if isinstance(part, str) else part for part in parts]
    return messages_pb2.InputMessage(user=messages_pb2.UserInput(content=messages_pb2.Content(parts=pieces)))


def _media_type(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    for beginning, media_type in _BEGINNINGS.items():
        if data.startswith(beginning):
            return media_type
    raise ValueError("these bytes are no PNG, JPEG, GIF or WebP")
