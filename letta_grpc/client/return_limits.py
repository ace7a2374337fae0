"""How much of what tools gave is sent: a server refuses an answer that is too large, and its run would wait for ever."""

from collections.abc import Iterable, Sequence

from letta_grpc.v1 import messages_pb2

# What a server takes of all returns of one message, in bytes.
_MAX_BYTES = 1024 * 1024
# Of a return's share, for its call's id and the notes on what was cut.
_KEPT_FREE = 1024
# Servers keep 400 000 characters of a step's returns. What is cut is cut to less, so that its note is not cut in turn.
_MAX_CHARACTERS = 390_000
# What a line or a part costs beside what it says.
_FRAME_BYTES = 8


def fitting(returns: Sequence[messages_pb2.ToolReturn]) -> Sequence[messages_pb2.ToolReturn]:
    """Return what is taken at once: all of it, or of each return its share with notes that tell the model what is missing."""
    if messages_pb2.ToolReturnsInput(returns=returns).ByteSize() <= _MAX_BYTES:
        return returns
    count = len(returns)
    return [_cut(one, _MAX_CHARACTERS // count, max(0, _MAX_BYTES // count - _KEPT_FREE)) for one in returns]


def _cut(returned: messages_pb2.ToolReturn, characters: int, room: int) -> messages_pb2.ToolReturn:
    """Return what fits: the text first, then the lines of both outputs as far as there is room."""
    cut = messages_pb2.ToolReturn(tool_call_id=returned.tool_call_id, status=returned.status)
    if returned.HasField("content"):
        cut.content.parts.extend(_cut_parts(returned.content.parts, room))
    else:
        cut.text = _cut_text(returned.text, characters, room)
    cut.stdout.extend(_cut_lines(returned.stdout, room - cut.ByteSize()))
    cut.stderr.extend(_cut_lines(returned.stderr, room - cut.ByteSize()))
    return cut


def _cut_text(text: str, characters: int, room: int) -> str:
    # Whole characters only: one can have four bytes.
    shown = text[:characters].encode()[:room].decode(errors="ignore")
    return text if shown == text else f"{shown}\n[cut: {len(shown)} of {len(text)} characters are shown]"


def _cut_lines(lines: Sequence[str], room: int) -> Iterable[str]:
    shown: list[str] = []
    for line in lines:
        room -= len(line.encode()) + _FRAME_BYTES
        if room < 0:
            return [*shown, f"[cut: {len(shown)} of {len(lines)} lines are shown]"]
        shown.append(line)
    return shown


def _cut_parts(parts: Sequence[messages_pb2.ContentPart], room: int) -> Iterable[messages_pb2.ContentPart]:
    """Return the parts up to the first that does not fit; a text is cut to what fits."""
    shown: list[messages_pb2.ContentPart] = []
    for index, part in enumerate(parts):
        size = part.ByteSize() + _FRAME_BYTES
        if size > room:
            rest = _cut_text(part.text, room, room) if part.HasField("text") else "[cut: a picture is not shown]"
            note = f"\n[cut: {index} of {len(parts)} parts are shown whole]"
            return [*shown, messages_pb2.ContentPart(text=rest + note)]
        room -= size
        shown.append(part)
    return shown
