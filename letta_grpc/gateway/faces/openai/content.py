"""What a message of a chat completion holds: a text, or parts."""

import base64
import binascii
import re
from collections.abc import Sequence

from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.v1 import messages_pb2

Content = str | list[messages_pb2.ContentPart]
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)(?:;[^;,]*){0,8};base64,(?P<data>.*)", re.DOTALL | re.IGNORECASE)
_NO_TEXT = {"type": "text", "text": ""}
# What many write, and no type is called.
_ALIASES = {"image/jpg": "image/jpeg"}


def content_of(content: object, path: str) -> Content:
    """Return what a message holds. Raises Failure."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong(path, f"'{path}' must be a 'string'")
    return [_part(content[index], f"{path}[{index}]") for index in places_in(content)]


def places_in(content: Sequence[object]) -> Sequence[int]:
    """Return the places of the parts that are passed on: chats send an empty text beside a picture without a word."""
    told = [index for index, part in enumerate(content) if part != _NO_TEXT]
    return told or range(len(content))


def wrong(param: str, message: str) -> Failure:
    """Return the failure of a request whose field `param` breaks a rule."""
    return refused(message, fields={param: message})


def _part(part: object, path: str) -> messages_pb2.ContentPart:
    match part:
        case {"type": "text", "text": str(text)}:
            return messages_pb2.ContentPart(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return messages_pb2.ContentPart(image=_image(url, path))
        case _:
            raise wrong(path, f"'{path}' must be a part of type 'text' or 'image_url'.")


def _image(url: str, path: str) -> messages_pb2.Image:
    found = _DATA_URL.fullmatch(url)
    if found is None:
        return messages_pb2.Image(url=url)
    try:
        data = base64.b64decode(found["data"], validate=True)
    except (binascii.Error, ValueError):
        raise wrong(path, f"'{path}' holds an image that is not base64.") from None
    media_type = found["type"].lower()
    return messages_pb2.Image(data=data, media_type=_ALIASES.get(media_type, media_type))
