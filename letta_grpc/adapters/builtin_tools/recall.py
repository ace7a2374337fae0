"""Finding what was said, and keeping and finding archival notes."""

import json
from datetime import datetime
from typing import Annotated

from pydantic import Field

from letta_grpc.adapters.builtin_tools.workplace import Workplace, success
from letta_grpc.domain.ids import RunId, new_passage_id
from letta_grpc.domain.passages import (
    DEFAULT_RESULTS,
    MAX_PASSAGE_CHARACTERS,
    MAX_PASSAGE_TAGS,
    MAX_RESULTS,
    MAX_TAG_CHARACTERS,
    Passage,
)
from letta_grpc.ports.journal import AddPassage
from letta_grpc.ports.search import MessageQuery
from letta_grpc.ports.tools import ToolResult

# How much of a long text is shown: fifty results must still fit into a context.
EXCERPT_CHARACTERS = 2_000

Limit = Annotated[int, Field(ge=1, le=MAX_RESULTS, description=f"How many results at most, 1 to {MAX_RESULTS}.")]
Tag = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARACTERS)]


async def conversation_search(
    workplace: Workplace,
    query: Annotated[str, Field(min_length=1, description="Words that all occur in the message, or the beginnings of words.")],
    limit: Limit = DEFAULT_RESULTS,
) -> ToolResult:
    """Search the earlier messages of this conversation, also those that you no longer see. What fits best comes first."""
    context = workplace.context
    # What was said since the present question came is before the model's eyes, and would crowd out what it looks for.
    present = {message.id for run_id in await _turn(workplace) for message in await workplace.history.of_run(run_id)}
    wanted = MessageQuery(
        agent_id=context.agent_id, conversation_id=context.conversation_id, text=query, limit=limit + len(present)
    )
    found = [each.message for each in await workplace.messages.search(wanted)]
    earlier = [message for message in found if message.id not in present][:limit]
    if not earlier:
        return success("No earlier message has all these words. Try fewer or other words.")
    lines = (_line(message.create_time, message.text, query, role=message.role.value) for message in earlier)
    return success("\n".join(lines))


async def archival_memory_insert(
    workplace: Workplace,
    text: Annotated[
        str, Field(min_length=1, max_length=MAX_PASSAGE_CHARACTERS, description="The note: one fact or idea, in full.")
    ],
    tags: Annotated[
        tuple[Tag, ...], Field(max_length=MAX_PASSAGE_TAGS, description="Words under which to find it again.")
    ] = (),
) -> ToolResult:
    """Keep a note in your archive. You do not see it any more, but find it again by search."""
    now = workplace.clock.now()
    note = Passage(
        id=new_passage_id(),
        agent_id=workplace.context.agent_id,
        text=text,
        tags=tuple(dict.fromkeys(tags)),
        create_time=now,
        update_time=now,
    )
    return success("The note was kept.", AddPassage(note))


async def archival_memory_search(
    workplace: Workplace,
    query: Annotated[
        str, Field(description="Words that the note has, or the beginnings of words. Empty finds the newest.")
    ] = "",
    tags: Annotated[
        tuple[Tag, ...], Field(max_length=MAX_PASSAGE_TAGS, description="Tags that the note has, all of them.")
    ] = (),
    limit: Limit = DEFAULT_RESULTS,
) -> ToolResult:
    """Search the notes in your archive. What fits best comes first."""
    found = await workplace.passages.search(workplace.context.agent_id, query, tags, limit)
    if not found:
        return success("No note has all these words and tags. Try fewer or other ones.")
    return success("\n".join(_line(note.create_time, note.text, query, tags=note.tags) for note in found))


async def _turn(workplace: Workplace) -> list[RunId]:
    """Return the run of the call and, where it answers calls that waited, those that asked."""
    turn = [workplace.context.run_id]
    while resumed := (await workplace.runs.get(turn[-1])).resumes_run_id:
        turn.append(resumed)
    return turn


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
