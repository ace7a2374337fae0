"""Ids: `<kind>-<uuid4>`, each kind a type of its own. Those of tool calls are written as providers write theirs."""

import hashlib
import os
import re
from typing import NewType
from uuid import UUID

AgentId = NewType("AgentId", str)
BlockId = NewType("BlockId", str)
ConversationId = NewType("ConversationId", str)
McpServerId = NewType("McpServerId", str)
MessageId = NewType("MessageId", str)
PassageId = NewType("PassageId", str)
RunId = NewType("RunId", str)
StepId = NewType("StepId", str)
ToolId = NewType("ToolId", str)

# Stands in requests for the id of an agent's default conversation.
DEFAULT_CONVERSATION = "default"

# Stands in requests that read for the ids of all agents or conversations (https://google.aip.dev/159).
WILDCARD = "-"

_UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# Random bytes for ids to come. Reading some for each id would be a system call that lets another thread take the GIL.
_random: list[bytes] = []
# A forked child must not give out the same ids as its parent.
os.register_at_fork(after_in_child=_random.clear)


def _uuid4() -> str:
    """Return a random UUID (RFC 9562, version 4). Threads may call it: a list's pop and extend are atomic."""
    try:
        number = int.from_bytes(_random.pop())
    except IndexError:
        fresh = os.urandom(16 * 256)
        number = int.from_bytes(fresh[:16])
        _random.extend(fresh[start : start + 16] for start in range(16, len(fresh), 16))
    number = number & ~(0xF << 76) & ~(0x3 << 62) | 4 << 76 | 2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def new_agent_id() -> AgentId:
    return AgentId(f"agent-{_uuid4()}")


def new_block_id() -> BlockId:
    return BlockId(f"block-{_uuid4()}")


def new_conversation_id() -> ConversationId:
    return ConversationId(f"conv-{_uuid4()}")


def new_mcp_server_id() -> McpServerId:
    return McpServerId(f"mcp-{_uuid4()}")


def new_message_id() -> MessageId:
    return MessageId(f"message-{_uuid4()}")


def new_passage_id() -> PassageId:
    return PassageId(f"passage-{_uuid4()}")


def new_run_id() -> RunId:
    return RunId(f"run-{_uuid4()}")


def new_step_id() -> StepId:
    return StepId(f"step-{_uuid4()}")


def new_tool_id() -> ToolId:
    return ToolId(f"tool-{_uuid4()}")


def builtin_tool_id(name: str) -> ToolId:
    """Return the id of a tool that is part of the server: the same on every server, so that it need not be kept anywhere."""
    return ToolId(f"tool-{UUID(bytes=hashlib.sha256(name.encode()).digest()[:16], version=4)}")


def new_tool_call_id() -> str:
    """Return an id for a call whose provider gave none, or one that the conversation already has: `call_`, 32 hex digits.

    Without dashes: OpenAI takes no id of more than 40 characters.
    """
    return f"call_{_uuid4().replace('-', '')}"


def previous_message_id(message_id: MessageId) -> MessageId:
    """Return the id one below: under it the calls wait that belong to this message and need an answer.

    Deterministic, so that what streams and what is stored agree. Raises ValueError for what is not a message's id, and for
    the lowest UUID, which has none below it.
    """
    prefix, _, digits = message_id.partition("-")
    number = int(digits.replace("-", ""), 16) - 1 if prefix == "message" and _UUID.fullmatch(digits) else -1
    if number < 0:
        raise ValueError(f"there is no id below {message_id!r}")
    text = f"{number:032x}"
    return MessageId(f"message-{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")


def is_id(kind: str, text: str) -> bool:
    """Say whether `text` is `<kind>-<uuid4>` in the one spelling that the server writes."""
    prefix, dash, rest = text.partition("-")
    return prefix == kind and dash == "-" and _UUID4.fullmatch(rest) is not None
