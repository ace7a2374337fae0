"""Finding what was said, and keeping and finding archival notes."""

import json
from datetime import datetime
from typing import Annotated

from pydantic import Field

from letta_grpc.adapters.builtin_tools.workplace import Workplace, success
from letta_grpc.domain.ids import new_passage_id
from letta_grpc.domain.passages import Passage
from letta_grpc.ports.journal import AddPassage
from letta_grpc.ports.tools import ToolResult

MAX_NOTE_CHARACTERS = 20_000
# Of a long text so much is shown: fifty results must still fit into a context.
EXCERPT_CHARACTERS = 2_000

Limit = Annotated[int, Field(ge=1, le=50, description="How many results at most, 1 to 50.")]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


async def conversation_search(
    workplace: Workplace,
    query: Annotated[str, Field(min_length=1, description="Words that all occur in the message; letter case is ignored.")],
    limit: Limit = 10,
) -> ToolResult:
    """Search the earlier messages of this conversation, also those that you no longer see. Newest first."""
    context = workplace.context
    # What was said since the present question came is before the model's eyes, and would crowd out what it looks for.
    present = {message.id for message in await workplace.history.of_run(context.run_id)}
    found = await workplace.history.search(context.conversation_id, query, limit + len(present))
    earlier = [message for message in found if message.id not in present][:limit]
    if not earlier:
        return success("No earlier message has all these words. Try fewer or other words.")
    lines = (_line(message.create_time, message.text, query, role=message.role.value) for message in earlier)
    return success("\n".join(lines))


async def archival_memory_insert(
    workplace: Workplace,
    text: Annotated[
        str, Field(min_length=1, max_length=MAX_NOTE_CHARACTERS, description="The note: one fact or idea, in full.")
    ],
    tags: Annotated[tuple[Tag, ...], Field(max_length=20, description="Words under which to find it again.")] = (),
) -> ToolResult:
    """Keep a note in your archive. You do not see it any more, but find it again by search."""
    note = Passage(
        id=new_passage_id(),
        agent_id=workplace.context.agent_id,
        text=text,
        tags=tuple(dict.fromkeys(tags)),
        create_time=workplace.clock.now(),
    )
    return success("The note was kept.", AddPassage(note))


async def archival_memory_search(
    workplace: Workplace,
    query: Annotated[
        str, Field(description="Words that all occur in the note; letter case is ignored. Empty finds any.")
    ] = "",
    tags: Annotated[tuple[Tag, ...], Field(max_length=20, description="Tags that the note has, all of them.")] = (),
    limit: Limit = 10,
) -> ToolResult:
    """Search the notes in your archive. Newest first."""
    found = await workplace.passages.search(workplace.context.agent_id, query, tags, limit)
    if not found:
        return success("No note has all these words and tags. Try fewer or other ones.")
    return success("\n".join(_line(note.create_time, note.text, query, tags=note.tags) for note in found))


def _line(time: datetime, text: str, query: str, **more: str | tuple[str, ...]) -> str:
    shown = {"time": time.isoformat(timespec="seconds"), **more, "text": _excerpt(text, query)}
    return json.dumps(shown, ensure_ascii=False)


def _excerpt(text: str, query: str) -> str:
    """Return the text; of a long one the part where the query's first word is."""
    if len(text) <= EXCERPT_CHARACTERS:
        return text
    place = text.lower().find(next(iter(query.lower().split()), ""))
    begin = max(0, min(place - EXCERPT_CHARACTERS // 4, len(text) - EXCERPT_CHARACTERS))
    end = begin + EXCERPT_CHARACTERS
    return f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"
