"""Editing memory blocks."""

from typing import Annotated

from pydantic import Field

from letta_grpc.adapters.builtin_tools.workplace import ToolError, Workplace, success
from letta_grpc.domain.blocks import Block
from letta_grpc.ports.journal import EditBlock
from letta_grpc.ports.tools import ToolResult

Label = Annotated[str, Field(description="The label of the memory block.")]


async def memory_insert(
    workplace: Workplace,
    label: Label,
    text: Annotated[str, Field(min_length=1, description="The text to add; it becomes lines of its own.")],
    line: Annotated[int, Field(ge=-1, description="The line after which the text goes: 0 is the top, -1 the end.")] = -1,
) -> ToolResult:
    """Add text to a memory block, and leave what is there as it is."""
    block = await workplace.block(label)
    lines = block.value.removesuffix("\n").split("\n") if block.value else []
    if line > len(lines):
        raise ToolError(f"The block {label!r} has {len(lines)} lines: `line` is 0 to {len(lines)}, or -1 for the end.")
    at = len(lines) if line == -1 else line
    last = "\n" if block.value.endswith("\n") else ""
    return _edit(block, "\n".join([*lines[:at], text, *lines[at:]]) + last)


async def memory_replace(
    workplace: Workplace,
    label: Label,
    old_text: Annotated[str, Field(min_length=1, description="The text to replace, exactly as it stands in the block.")],
    new_text: Annotated[str, Field(description="What stands there from now on; empty removes the old text.")],
) -> ToolResult:
    """Replace a piece of text in a memory block. The piece must occur there exactly once."""
    block = await workplace.block(label)
    places = _places(block.value, old_text)
    if not places:
        raise ToolError(
            f"This `old_text` does not occur in the block {label!r}. Copy it from there, character by character, "
            "with its line breaks and in its letter case."
        )
    if len(places) > 1:
        lines = ", ".join(str(block.value.count("\n", 0, place) + 1) for place in places)
        raise ToolError(
            f"This `old_text` occurs {len(places)} times in the block {label!r}, on lines {lines}. "
            "Give more of the text around the one that you mean."
        )
    return _edit(block, block.value[: places[0]] + new_text + block.value[places[0] + len(old_text) :])


async def memory_rethink(
    workplace: Workplace,
    label: Label,
    new_value: Annotated[str, Field(description="The whole new text of the block.")],
) -> ToolResult:
    """Rewrite a memory block from beginning to end. Whatever the new text does not say is forgotten."""
    return _edit(await workplace.block(label), new_value)


def _places(text: str, piece: str) -> list[int]:
    """Return where the piece begins; overlapping ones count, since neither is the one that was meant."""
    places = []
    place = text.find(piece)
    while place != -1:
        places.append(place)
        place = text.find(piece, place + 1)
    return places


def _edit(block: Block, value: str) -> ToolResult:
    if value == block.value:
        return success(f"The block {block.label!r} says so already; nothing was changed.")
    excess = len(value) - block.limit
    if excess > 0:
        raise ToolError(
            f"The block {block.label!r} would have {len(value)} characters, {excess} more than its limit of {block.limit}. "
            "Make it shorter, or keep the details in the archive."
        )
    text = f"The block {block.label!r} was changed and has {len(value)} of {block.limit} characters now."
    return success(text, EditBlock(block.id, block.version, value))
