"""What a scripted model does, one after the other."""

import asyncio
from dataclasses import dataclass

from letta_grpc.domain.completions import FinishReason, ModelChunk
from letta_grpc.domain.usage import Usage


@dataclass(frozen=True, slots=True)
class Send:
    """Send chunks as one batch."""

    chunks: tuple[ModelChunk, ...]


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a tool. Without an id the provider gives none. Its arguments come in pieces of `piece_chars`, if any."""

    name: str
    arguments: str
    id: str | None = None
    piece_chars: int = 0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait by the clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class WaitFor:
    """Wait until somebody sets the event; nobody ever sets that of `wait_for_cancel`."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Fail:
    """Raise."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Report:
    """Say at the end what the answer cost, instead of counting words."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Finish:
    """Say at the end why it ends, instead of telling by the calls."""

    reason: FinishReason


Action = Send | CallTool | Pause | WaitFor | Fail | Report | Finish
