"""A model for tests: it does what it was made to do, turn after turn, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing

from letta_grpc.adapters.scripted.actions import Action, CallTool, Fail, Finish, Report, Send, WaitFor
from letta_grpc.adapters.scripted.playing import play
from letta_grpc.domain.completions import ModelChunk, ModelFinished, ModelRequest, TextChunk
from letta_grpc.domain.errors import ModelBadRequest
from letta_grpc.domain.messages import ToolCall

# One thing a turn does: say a text, call a tool, send a chunk, fail, wait for an event.
Doing = str | ToolCall | ModelChunk | Exception | asyncio.Event
Turn = Doing | Sequence[Doing]


class ScriptedModel:
    """Answers the n-th request with the n-th turn: `ScriptedModel(["Hello", [ToolCall(…)], ModelOverloaded()])`.

    Each item of a turn is one batch. ModelFinished comes by itself unless the turn says it. `requests` has every request
    in order; `active` is how many answers are under way, `closed` how many were given up by the reader.
    """

    def __init__(self, turns: Iterable[Turn]) -> None:
        self._turns = list(turns)
        self.requests: list[ModelRequest] = []
        self.active = 0
        self.closed = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Do the next turn. Raises ModelBadRequest when there is none."""
        number = len(self.requests)
        self.requests.append(request)
        if number >= len(self._turns):
            raise ModelBadRequest(f"the script has {len(self._turns)} turns, and this is request {number + 1}")
        self.active += 1
        try:
            async with aclosing(play(_actions(self._turns[number]), request, asyncio.sleep)) as batches:
                async for batch in batches:
                    yield batch
        except (GeneratorExit, asyncio.CancelledError):
            self.closed += 1
            raise
        finally:
            self.active -= 1


def _actions(turn: Turn) -> list[Action]:
    doings = turn if isinstance(turn, Sequence) and not isinstance(turn, str) else [turn]
    return [action for doing in doings for action in _actions_of(doing)]


def _actions_of(doing: Doing) -> list[Action]:
    match doing:
        case str():
            return [Send((TextChunk(doing),))]
        case ToolCall():
            return [CallTool(doing.name, doing.arguments, doing.id or None)]
        case ModelFinished():
            return [Finish(doing.reason), Report(doing.usage)]
        case Exception():
            return [Fail(doing)]
        case asyncio.Event():
            return [WaitFor(doing)]
        case _:
            return [Send((doing,))]
