"""What the model is shown: instructions, memory blocks, and a history in which every tool call has its one return."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.ids import MessageId
from letta_grpc.domain.messages import Message, Role, ToolCall, ToolReturn, ToolReturnStatus

LOST_RETURN = "Error: the server stopped before this tool returned. It may or may not have run."


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


def make_whole(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Return the history with a tool message after every assistant message whose calls lack returns, and no stray returns.

    Providers refuse a context in which a call has no return, or a return no call, for ever after.
    """
    result: list[Message] = []
    open_calls: dict[str, ToolCall] = {}
    for message in messages:
        if message.role is Role.TOOL:
            known = tuple(r for r in message.tool_returns if open_calls.pop(r.tool_call_id, None))
            if known:
                result.append(replace(message, tool_returns=known))
            continue
        if open_calls:
            result.append(_lost_returns(result[-1], open_calls.values()))
        result.append(message)
        open_calls = {call.id: call for call in message.tool_calls}
    if open_calls:
        result.append(_lost_returns(result[-1], open_calls.values()))
    return tuple(result)


def _lost_returns(after: Message, calls: Iterable[ToolCall]) -> Message:
    returns = tuple(ToolReturn(tool_call_id=call.id, status=ToolReturnStatus.ERROR, text=LOST_RETURN) for call in calls)
    return Message(
        id=MessageId(f"{after.id}-lost"),
        role=Role.TOOL,
        tool_returns=returns,
        run_id=after.run_id,
        step_id=after.step_id,
        create_time=after.create_time,
    )


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
