"""Ids: `<kind>-<uuid4>`, each kind a type of its own."""

import re
from typing import NewType
from uuid import uuid4

AgentId = NewType("AgentId", str)
BlockId = NewType("BlockId", str)
ConversationId = NewType("ConversationId", str)
MessageId = NewType("MessageId", str)
PassageId = NewType("PassageId", str)
RunId = NewType("RunId", str)
StepId = NewType("StepId", str)

# What a request may say instead of the id of an agent's default conversation.
DEFAULT_CONVERSATION = "default"

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_agent_id() -> AgentId:
    return AgentId(f"agent-{uuid4()}")


def new_block_id() -> BlockId:
    return BlockId(f"block-{uuid4()}")


def new_conversation_id() -> ConversationId:
    return ConversationId(f"conv-{uuid4()}")


def new_message_id() -> MessageId:
    return MessageId(f"message-{uuid4()}")


def new_passage_id() -> PassageId:
    return PassageId(f"passage-{uuid4()}")


def new_run_id() -> RunId:
    return RunId(f"run-{uuid4()}")


def new_step_id() -> StepId:
    return StepId(f"step-{uuid4()}")


def new_tool_call_id() -> str:
    """Return an id for a call whose provider gave none, or one that the conversation already has."""
    return f"call_{uuid4().hex}"


def is_id(kind: str, text: str) -> bool:
    """Say whether `text` is `<kind>-<uuid4>` in the one spelling that the server writes."""
    prefix, dash, rest = text.partition("-")
    return prefix == kind and dash == "-" and _UUID4.fullmatch(rest) is not None
