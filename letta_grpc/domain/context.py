"""What the model is shown beside the history, and what all of it costs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.messages import Message, ToolReturn, ToolReturnStatus


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
    local = time.astimezone(ZoneInfo(timezone))
    packaged = {
        "status": "OK" if returned.status is ToolReturnStatus.SUCCESS else "Failed",
        "message": returned.text.replace("\x00", ""),
        "time": local.strftime("%Y-%m-%d %I:%M:%S %p %Z%z"),
    }
    return json.dumps(packaged, indent=2, ensure_ascii=False)


def estimate_tokens(text: str) -> int:
    """Return a rough count: four characters to a token, rounded up. The provider's usage is better wherever there is one."""
    return -(-len(text) // 4)


def estimate_message_tokens(message: Message) -> int:
    """Return a rough count of what a message costs in a context."""
    text = message.text + "".join(call.name + call.arguments for call in message.tool_calls)
    return estimate_tokens(text + "".join(returned.text for returned in message.tool_returns))


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
