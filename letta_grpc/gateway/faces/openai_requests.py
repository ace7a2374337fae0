"""What a chat completion asks for, as a run of the agent that `model` names."""

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from letta_grpc.gateway.faces.openai_repeats import GRACE_SECONDS
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.turns import spec_of
from letta_grpc.v1 import messages_pb2
from letta_grpc.v1 import run_service_pb2 as pb

NO_AGENT = "The 'model' must be an agent's id, as /v1/models lists them."
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)
# Request ids of callers that name their requests in OpenAI's way.
_NAMESPACE = uuid.UUID("6f6e6b0c-6f7e-5d0a-9d0b-4f6a1c2f7b11")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A start, and how its answer is wanted."""

    start: pb.StreamRunRequest
    is_stream: bool
    with_usage: bool

    @property
    def model(self) -> str:
        """The agent, as the caller names it."""
        return self.start.agent_id


def chat_request_of(body: Mapping[str, Any], idempotency_key: str = "") -> ChatRequest:
    """Return what a body asks for. What agents own themselves is not looked at. Raises Failure."""
    model, is_stream, options = body.get("model"), body.get("stream") or False, body.get("stream_options") or {}
    if not isinstance(model, str) or not model.startswith("agent-"):
        raise _wrong("model", NO_AGENT)
    if not isinstance(is_stream, bool):
        raise _wrong("stream", "The 'stream' field must be true or false.")
    if not isinstance(options, dict):
        raise _wrong("stream_options", "The 'stream_options' field must be an object.")
    if body.get("n") not in (None, 1):
        raise _wrong("n", "An agent gives one answer: 'n' must be 1.")
    spec = spec_of(_last_users(body))
    spec.disconnect_grace.seconds = GRACE_SECONDS
    if (shape := _shape(body.get("response_format"))) is not None:
        spec.response_format = shape
    for key, value in _metadata(body).items():
        spec.metadata[key] = value
    start = pb.StreamRunRequest(agent_id=model, run=spec)
    if idempotency_key:
        start.request_id = str(uuid.uuid5(_NAMESPACE, f"{model}\n{idempotency_key}"))
    return ChatRequest(start=start, is_stream=is_stream, with_usage=options.get("include_usage") is True)


def _last_users(body: Mapping[str, Any]) -> str | list[messages_pb2.ContentPart]:
    """Return the content of the last message: the agent knows what was said before."""
    if "messages" not in body:
        raise _wrong("messages", "The 'messages' field is missing in the request.")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise _wrong("messages", "The 'messages' field must be an iterable.")
    if not messages:
        raise _wrong("messages", "The 'messages' field must not be empty.")
    last = messages[-1]
    if not isinstance(last, dict) or last.get("role") != "user":
        raise _wrong("messages[-1].role", "'messages[-1].role' must be a 'user'")
    content = last.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise _wrong("messages[-1].content", "'messages[-1].content' must be a 'string'")
    return [_part(part, f"messages[-1].content[{index}]") for index, part in enumerate(content)]


def _part(part: object, path: str) -> messages_pb2.ContentPart:
    match part:
        case {"type": "text", "text": str(text)}:
            return messages_pb2.ContentPart(text=text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return messages_pb2.ContentPart(image=_image(url, path))
        case _:
            raise _wrong(path, f"'{path}' must be a part of type 'text' or 'image_url'.")


def _image(url: str, path: str) -> messages_pb2.Image:
    found = _DATA_URL.fullmatch(url)
    if found is None:
        return messages_pb2.Image(url=url)
    try:
        data = base64.b64decode(found["data"], validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(path, f"'{path}' holds an image that is not base64.") from None
    return messages_pb2.Image(data=data, media_type=found["type"])


def _shape(wanted: object) -> str | None:
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return '{"type":"object"}'
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return orjson.dumps(schema).decode()
        case _:
            raise _wrong("response_format", "'response_format' must be of type 'text', 'json_object' or 'json_schema'.")


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    metadata = body.get("metadata") or {}
    user = body.get("user")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise _wrong("metadata", "'metadata' must be an object of texts.")
    if user is not None and not isinstance(user, str):
        raise _wrong("user", "'user' must be a text.")
    return metadata | ({"user": user} if user else {})


def _wrong(param: str, message: str) -> Failure:
    return refused(message, fields={param: message})
