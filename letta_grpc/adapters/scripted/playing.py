"""Actions → batches of chunks."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import assert_never

from letta_grpc.adapters.scripted.actions import Action, CallTool, Fail, Finish, Pause, Report, Send, WaitFor
from letta_grpc.domain.completions import (
    FinishReason,
    HiddenReasoningChunk,
    ModelChunk,
    ModelFinished,
    ModelRequest,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
    TextChunk,
    ToolCallChunk,
)
from letta_grpc.domain.usage import Usage

Sleep = Callable[[float], Awaitable[None]]

_WORD = re.compile(r"\s*\S+\s*|\s+")


def words(text: str) -> list[str]:
    """Return the words of a text with the space around them: joined they are the text."""
    return _WORD.findall(text)


async def play(actions: Iterable[Action], request: ModelRequest, sleep: Sleep) -> AsyncGenerator[Sequence[ModelChunk], None]:
    """Do one thing after the other, then finish. Each Send is a batch of its own."""
    reason: FinishReason | None = None
    usage: Usage | None = None
    calls = sent_words = 0
    for action in actions:
        match action:
            case Send(chunks):
                sent_words += sum(_count(chunk) for chunk in chunks)
                yield chunks
                # Others get their turn between two batches, as they do while a real model thinks.
                await asyncio.sleep(0)
            case CallTool(name, arguments, call_id, piece_chars):
                for piece in _pieces(arguments, piece_chars):
                    yield (ToolCallChunk(calls, call_id, name, piece),)
                    await asyncio.sleep(0)
                calls += 1
                sent_words += len(arguments.split())
            case Pause(seconds):
                await sleep(seconds)
            case WaitFor(event):
                await event.wait()
            case Fail(error):
                raise error
            case Report():
                usage = action.usage
            case Finish():
                reason = action.reason
            case _:
                assert_never(action)
    reason = reason or (FinishReason.TOOL_CALLS if calls else FinishReason.STOP)
    yield (ModelFinished(reason, usage or _counted(request, sent_words)),)


def _pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)] if size and text else [text]


def _count(chunk: ModelChunk) -> int:
    match chunk:
        case TextChunk(text) | ReasoningChunk(text) | ReasoningSummaryChunk(text):
            return len(text.split())
        case ToolCallChunk():
            return len(chunk.arguments.split())
        case ModelFinished() | ReasoningSealChunk() | HiddenReasoningChunk():
            return 0
        case _:
            assert_never(chunk)


def _counted(request: ModelRequest, completion: int) -> Usage:
    """Return usage in words: a scripted model has no tokens."""
    history = (message.text + " ".join(returned.text for returned in message.tool_returns) for message in request.messages)
    prompt = len(request.system.split()) + sum(len(text.split()) for text in history)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        context_tokens=prompt + completion,
    )
