"""What the model is shown beside the history, and what all of it costs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.messages import (
    ContentPart,
    ImagePart,
    Message,
    ReasoningPart,
    RedactedReasoningPart,
    TextPart,
    ToolReturn,
    ToolReturnStatus,
)


def compile_system(instructions: str, blocks: Sequence[Block]) -> str:
    """Return the system prompt: the instructions, then every memory block with its label, limit and value."""
    if not blocks:
        return instructions
    memory = "\n".join(_block_text(block) for block in blocks)
    return f"{instructions}\n\n<memory>\n{memory}\n</memory>"


def _block_text(block: Block) -> str:
    access = ' read_only="true"' if block.read_only else ""
    description = f"{block.description}\n" if block.description else ""
    opening = f'<block label="{block.label}" characters="{len(block.value)}/{block.limit}"{access}>'
    return f"{opening}\n{description}{block.value}\n</block>"


def package_return(returned: ToolReturn, time: datetime, timezone: str) -> str:
    """Return a tool's answer as the model reads it: JSON text with `status`, `message` and local `time`."""
    packaged = {
        "status": "OK" if returned.status is ToolReturnStatus.SUCCESS else "Failed",
        "message": returned.text.replace("\x00", ""),
        "time": local_time(time, timezone),
    }
    return json.dumps(packaged, indent=2, ensure_ascii=False)


def local_time(time: datetime, timezone: str) -> str:
    """Return a time as the model reads it."""
    return time.astimezone(ZoneInfo(timezone)).strftime("%Y-%m-%d %I:%M:%S %p %Z%z")


def estimate_tokens(text: str) -> int:
    """Return a rough count: four bytes to a token, rounded up. The provider's usage is better wherever there is one."""
    length = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return -(-length // 4)


# What vendors charge for a picture of usual size.
IMAGE_TOKENS = 1000
# The role of a message and the marks around it; name and id of a call; status and time around what a tool gave.
_MESSAGE_TOKENS = 4
_CALL_TOKENS = 8
_RETURN_TOKENS = 30


def estimate_message_tokens(message: Message) -> int:
    """Return a rough count of what a message costs in a context. Reasoning that is not shown again costs nothing."""
    parts = sum(_part_tokens(part) for part in message.content)
    calls = sum(_CALL_TOKENS + estimate_tokens(call.name + call.arguments) for call in message.tool_calls)
    returns = sum(
        _RETURN_TOKENS
        + estimate_tokens(returned.text)
        + IMAGE_TOKENS * sum(isinstance(part, ImagePart) for part in returned.content)
        for returned in message.tool_returns
    )
    return _MESSAGE_TOKENS + parts + calls + returns


def _part_tokens(part: ContentPart) -> int:
    match part:
        case TextPart(text=text):
            return estimate_tokens(text)
        case ImagePart():
            return IMAGE_TOKENS
        case ReasoningPart(text=text, signature=signature):
            return estimate_tokens(text + signature) if signature else 0
        case RedactedReasoningPart(data=data):
            return estimate_tokens(data)
        case _:
            return 0


@lru_cache(maxsize=256)  # The same few tools are shown in every step.
def estimate_tool_tokens(tool: ToolDefinition) -> int:
    """Return a rough count of what a tool's definition costs."""
    return _CALL_TOKENS + estimate_tokens(tool.name + tool.description + tool.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextPart:
    """One part of a context and what it costs, by estimate."""

    name: str
    estimated_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the model would be shown, and what it costs. `reported_tokens` is the provider's count of the last call."""

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolDefinition, ...]
    parts: tuple[ContextPart, ...]
    context_window: int
    reported_tokens: int | None = None

    @property
    def estimated_tokens(self) -> int:
        """The sum of the parts."""
        return sum(part.estimated_tokens for part in self.parts)
