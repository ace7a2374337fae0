"""How much of what a tool gave is kept."""

from collections.abc import Iterable
from itertools import accumulate, takewhile


def cut_text(text: str, limit: int) -> str:
    """Return so much of a text, with a note if that is not all."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[cut: {limit} of {len(text)} characters are shown]"


def cut_lines(lines: tuple[str, ...], room: int) -> tuple[str, ...]:
    """Return as many lines as there is room for, with a note if those are not all."""
    if size_of(lines) <= room:
        return lines
    shown = list(takewhile(lambda end: end <= room, accumulate(len(line) + 1 for line in lines)))
    return (*lines[: len(shown)], f"[cut: {len(shown)} of {len(lines)} lines are shown]")


def size_of(lines: Iterable[str]) -> int:
    """Return how many characters lines have. The end of one counts too: there can be as many lines as characters."""
    return sum(len(line) + 1 for line in lines)
