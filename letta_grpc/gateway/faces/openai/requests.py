"""What a chat completion asks for, as a run of the agent that `model` names."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from letta_grpc.gateway.faces.openai.content import Content, content_of, wrong
from letta_grpc.gateway.faces.openai.repeats import GRACE_SECONDS
from letta_grpc.gateway.faces.openai.tools import returns_in, tools_in
from letta_grpc.gateway.turns import spec_of
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2

NO_AGENT = "The 'model' must be an agent's id, as /v1/models lists them."
# What a caller would look for in the answer: by field, what asks for nothing that is not there.
_ONLY: Sequence[tuple[str, Sequence[object], str]] = (
    ("n", (None, 1), "An agent gives one answer: 'n' must be 1."),
    ("logprobs", (None, False), "An agent's answer has no probabilities: leave 'logprobs' out."),
    ("modalities", (None, [], ["text"]), "An agent answers in text: 'modalities' must be ['text']."),
    ("web_search_options", (None,), "Give the agent a tool that searches, and leave 'web_search_options' out."),
)
# In the metadata of a run whose model was made to call a tool: those that it might call. A client's is the answer by itself.
CHOSEN = "letta-grpc.tool_choice"
# Request ids of callers that name their requests in OpenAI's way.
_NAMESPACE = uuid.UUID("6f6e6b0c-6f7e-5d0a-9d0b-4f6a1c2f7b11")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A start, and how its answer is wanted. `before`: the messages before the last one."""

    start: pb.StreamRunRequest
    is_stream: bool
    with_usage: bool
    before: Sequence[object] = ()

    @property
    def model(self) -> str:
        """The agent, as the caller names it."""
        return self.start.agent_id

    @property
    def has_shape(self) -> bool:
        """Whether the answer is to be JSON of a shape."""
        return self.start.run.HasField("response_format")


def chat_request_of(body: Mapping[str, Any], idempotency_key: str = "") -> ChatRequest:
    """Return what a body asks for. What agents own themselves is not looked at. Raises Failure."""
    model, is_stream, options = body.get("model"), body.get("stream") or False, body.get("stream_options") or {}
    if not isinstance(model, str) or not model.startswith("agent-"):
        raise wrong("model", NO_AGENT)
    if not isinstance(is_stream, bool):
        raise wrong("stream", "The 'stream' field must be true or false.")
    if not isinstance(options, dict):
        raise wrong("stream_options", "The 'stream_options' field must be an object.")
    for field, given, rule in _ONLY:
        if body.get(field) not in given:
            raise wrong(field, rule)
    messages = _messages(body)
    start = pb.StreamRunRequest(agent_id=model, run=_spec(body, messages))
    if idempotency_key:
        start.request_id = str(uuid.uuid5(_NAMESPACE, f"{model}\n{idempotency_key}"))
    return ChatRequest(start=start, before=messages[:-1], is_stream=is_stream, with_usage=options.get("include_usage") is True)


def _spec(body: Mapping[str, Any], messages: Sequence[object]) -> runs_pb2.RunSpec:
    spec = spec_of(returns_in(messages) or _last_users(messages))
    spec.disconnect_grace.seconds = GRACE_SECONDS
    tools = tools_in(body)
    spec.client_tools.extend(tools.offered)
    spec.tool_choice.extend(tools.choice)
    if (shape := _shape(body.get("response_format"))) is not None:
        spec.response_format = shape
    spec.metadata.update(_metadata(body))
    if tools.choice:
        spec.metadata[CHOSEN] = ",".join(tools.choice)
    return spec


def _messages(body: Mapping[str, Any]) -> list[object]:
    if "messages" not in body:
        raise wrong("messages", "The 'messages' field is missing in the request.")
    messages = body["messages"]
    if not isinstance(messages, list):
        raise wrong("messages", "The 'messages' field must be an iterable.")
    if not messages:
        raise wrong("messages", "The 'messages' field must not be empty.")
    return messages


def _last_users(messages: Sequence[object]) -> Content:
    """Return the content of the last message: the agent knows what was said before."""
    last = messages[-1]
    if not isinstance(last, dict) or last.get("role") != "user":
        raise wrong("messages[-1].role", "'messages[-1].role' must be a 'user'")
    return content_of(last.get("content"), "messages[-1].content")


def _shape(wanted: object) -> str | None:
    match wanted:
        case None | {"type": "text"}:
            return None
        case {"type": "json_object"}:
            return '{"type":"object"}'
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            return orjson.dumps(schema).decode()
        case {"type": "json_schema"}:
            path = "response_format.json_schema.schema"
            raise wrong(path, f"'{path}' must be a JSON schema: an object.")
        case _:
            raise wrong("response_format", "'response_format' must be of type 'text', 'json_object' or 'json_schema'.")


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    metadata = body.get("metadata") or {}
    user = body.get("user")
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise wrong("metadata", "'metadata' must be an object of texts.")
    if user is not None and not isinstance(user, str):
        raise wrong("user", "'user' must be a text.")
    return metadata | ({"user": user} if user else {})
