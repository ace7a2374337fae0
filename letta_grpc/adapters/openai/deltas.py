"""Deltas of one read from the socket → one batch of chunks, neighbours of one kind merged."""

from letta_grpc.domain.completions import (
    HiddenReasoningChunk,
    ModelChunk,
    ModelFinished,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
    TextChunk,
    ToolCallChunk,
)

_Words = type[TextChunk] | type[ReasoningChunk] | type[ReasoningSummaryChunk]


class Batch:
    """Collects. `has_lone_surrogates`: some text was written as escapes that are no character each for itself."""

    __slots__ = ("_call_id", "_call_name", "_chunks", "_kind", "_parts", "has_lone_surrogates")

    def __init__(self) -> None:
        self._chunks: list[ModelChunk] = []
        # The kind of chunk that is being collected: a class, or the index of a tool call.
        self._kind: _Words | int | None = None
        self._parts: list[str] = []
        self._call_id: str | None = None
        self._call_name: str | None = None
        self.has_lone_surrogates = False

    def __bool__(self) -> bool:
        """Whether anything was added."""
        return self._kind is not None or bool(self._chunks)

    def words(self, kind: _Words, text: str) -> None:
        """Add text or reasoning."""
        if kind is not self._kind:
            self._flush()
            self._kind = kind
        self._parts.append(text)

    def call(self, index: int, call_id: str | None, name: str | None, arguments: str) -> None:
        """Add a piece of a tool call."""
        if index != self._kind:
            self._flush()
            self._kind = index
        self._call_id = self._call_id or call_id
        self._call_name = self._call_name or name
        self._parts.append(arguments)

    def whole(self, chunk: ModelFinished | ReasoningSealChunk | HiddenReasoningChunk) -> None:
        """Add what comes in one piece."""
        self._flush()
        self._chunks.append(chunk)

    def chunks(self) -> list[ModelChunk]:
        """Return everything."""
        self._flush()
        return self._chunks

    def _flush(self) -> None:
        kind = self._kind
        if kind is None:
            return
        text = "".join(self._parts)
        if self.has_lone_surrogates:
            text = _repaired(text)
        if isinstance(kind, int):
            self._chunks.append(ToolCallChunk(kind, self._call_id, self._call_name, text))
        else:
            self._chunks.append(kind(text))
        self._kind = self._call_id = self._call_name = None
        self._parts = []


def _repaired(text: str) -> str:
    """Return text in which surrogates that stand in pairs are the characters they mean, and others are U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
