"""Turns that happened elsewhere, as a request brings them."""

import re

from letta_grpc.domain.ids import AgentId
from letta_grpc.engine.answer import MAX_ANSWER_CHARACTERS
from letta_grpc.engine.captures import Capture
from letta_grpc.transport.convert.conversations import optional_conversation
from letta_grpc.transport.convert.requests import request_id_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.methods import Call
from letta_grpc.v1 import agent_service_pb2 as pb

_MAX_TEXTS = 64
_MAX_MODEL = 256
_KEY = re.compile(r"[a-zA-Z0-9_-]{0,64}")


def capture_from_pb(request: pb.CaptureMessagesRequest, call: Call) -> Capture:
    """Return the turn to keep."""
    with Rules() as rules:
        agent_id = rules.optional_id("agent_id", "agent", request.agent_id)
        if not _KEY.fullmatch(request.capture_key):
            rules.broken("capture_key", "must be at most 64 letters, digits, `_` and `-`")
        if not request.user_texts and not request.assistant_text:
            rules.broken("user_texts", "must have at least one text, or `assistant_text` must not be empty")
        texts = rules.at_most("user_texts", request.user_texts, _MAX_TEXTS)
        return Capture(
            agent_id=AgentId(agent_id) if agent_id else None,
            conversation_id=optional_conversation(rules, "conversation_id", request.conversation_id),
            key=request.capture_key or call.caller,
            request_id=request_id_from_pb(rules, request.request_id),
            user_texts=tuple(rules.long_text(f"user_texts[{index}]", text, required=True) for index, text in enumerate(texts)),
            assistant_text=_answer(rules, request.assistant_text),
            model=rules.text("model", request.model, _MAX_MODEL) or None,
            metadata=rules.metadata("metadata", request.metadata),
            traceparent=call.traceparent,
        )


def _answer(rules: Rules, text: str) -> str:
    rules.text("assistant_text", text, MAX_ANSWER_CHARACTERS)
    return rules.long_text("assistant_text", text)
