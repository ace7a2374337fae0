"""How much of a tool's return is kept."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, takewhile

from letta_grpc.domain.messages import ImagePart, InputPart, TextPart, ToolReturn
from letta_grpc.domain.pictures import picture_bytes
from letta_grpc.domain.turns import is_refusal

# All returns of a step make one message, and a message must fit into one event of 2 MiB even if each character takes four
# bytes in UTF-8.
_MAX_RETURN_CHARACTERS = 400_000
# What a part of a content costs beside what it says: there can be as many parts as characters.
_PART_CHARACTERS = 16
# A character may take four bytes.
_CHARACTER_BYTES = 4


def share_of(calls: int) -> int:
    """Return how many characters the return of each call may have, if there are `calls` of them."""
    return _MAX_RETURN_CHARACTERS // max(1, calls)


def cut_return(returned: ToolReturn, text_limit: int, limit: int) -> ToolReturn:
    """Return what fits: the text first, then the lines of both outputs as far as there is room."""
    if is_refusal(returned):
        # A tool of the server's or the client's that says so would hide its own call from the rules.
        marked = (TextPart("Error:"), *returned.content) if returned.content else ()
        returned = replace(returned, text=f"Error: {returned.text}", content=marked)
    content = cut_content(returned.content, text_limit, limit)
    # Beside a content its text is not stored again.
    text = text_in(content) if content else cut_text(returned.text, text_limit)
    room = max(0, limit - (content_size(content) if content else len(text)))
    stdout = cut_lines(returned.stdout, room)
    room = max(0, room - size_of(stdout))
    return replace(returned, text=text, content=content, stdout=stdout, stderr=cut_lines(returned.stderr, room))


def cut_text(text: str, limit: int) -> str:
    """Return a text cut to a number of characters, with a note if something is missing."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}\n[cut: {limit} of {len(text)} characters are shown]"


def cut_lines(lines: tuple[str, ...], room: int) -> tuple[str, ...]:
    """Return as many lines as there is room for, with a note if some are missing."""
    if size_of(lines) <= room:
        return lines
    shown = list(takewhile(lambda end: end <= room, accumulate(len(line) + 1 for line in lines)))
    return (*lines[: len(shown)], f"[cut: {len(shown)} of {len(lines)} lines are shown]")


def size_of(lines: Iterable[str]) -> int:
    """Return how many characters lines have. A line's end counts too: there can be as many lines as characters."""
    return sum(len(line) + 1 for line in lines)


def cut_content(parts: Sequence[InputPart], text_limit: int, room: int) -> tuple[InputPart, ...]:
    """Return as much of a content as there is room for, in its order; a note stands for each picture that is left out.

    `text_limit` is for the texts together, `room` for all; both are in characters.
    """
    kept: list[InputPart] = []
    for part in parts:
        if room <= 0:
            return (*kept, TextPart(f"[cut: {len(kept)} of {len(parts)} parts are shown]"))
        shown = _cut_part(part, min(text_limit, room), room)
        if isinstance(shown, TextPart):
            text_limit -= len(shown.text)
        room -= _part_size(shown)
        kept.append(shown)
    return tuple(kept)


def _cut_part(part: InputPart, text_limit: int, room: int) -> InputPart:
    if isinstance(part, TextPart):
        return TextPart(cut_text(part.text, max(0, text_limit)))
    if _part_size(part) <= room:
        return part
    return TextPart(f"[cut: a picture of {picture_bytes(part)} bytes is not shown]")


def content_size(parts: Iterable[InputPart]) -> int:
    """Return how many characters a content stands for."""
    return sum(_part_size(part) for part in parts)


def _part_size(part: InputPart) -> int:
    said = picture_bytes(part) // _CHARACTER_BYTES if isinstance(part, ImagePart) else len(part.text)
    return _PART_CHARACTERS + said


def text_in(parts: Iterable[InputPart]) -> str:
    """Return the text of a content, a line for each part of text."""
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))
