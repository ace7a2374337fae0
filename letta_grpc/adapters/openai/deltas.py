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
    """Collects, read by read. `has_lone_surrogates`: some text was written as escapes that are no character by themselves."""

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

    def chunks(self, *, is_last: bool = False) -> list[ModelChunk]:
        """Return what came. Unless it `is_last`, half a character at its end waits for the other half in the next read."""
        kind = self._kind
        half = "" if is_last or not self.has_lone_surrogates else self._take_half()
        self._flush()
        chunks, self._chunks = self._chunks, []
        self.has_lone_surrogates = bool(half)
        if half:
            self._kind, self._parts = kind, [half]
        return chunks

    def _take_half(self) -> str:
        text = "".join(self._parts)
        if not "\ud800" <= text[-1:] <= "\udbff":
            return ""
        self._parts = [text[:-1]]
        return text[-1]

    def _flush(self) -> None:
        kind = self._kind
        if kind is None:
            return
        text = "".join(self._parts)
        if self.has_lone_surrogates:
            text = _repaired(text)
        if isinstance(kind, int):
            if text or self._call_id or self._call_name:
                self._chunks.append(ToolCallChunk(kind, self._call_id, self._call_name, text))
        elif text:
            self._chunks.append(kind(text))
        self._kind = self._call_id = self._call_name = None
        self._parts = []


def _repaired(text: str) -> str:
    """Return text in which surrogates that stand in pairs are the characters they mean, and others are U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
