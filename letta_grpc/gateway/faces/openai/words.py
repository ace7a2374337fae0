"""What of a run's texts is the content of a chat completion.

All of them, for an agent may say something before it calls a tool, and goes on behind it. Where a shape is asked for the last
alone has it: what stands before is said on the way to it, or a try that the model was told to repair.
"""

from collections.abc import Collection, Iterable

from letta_grpc.gateway.paragraphs import Paragraphs, joined

_JSON = frozenset("{[")


class WrittenAgainError(Exception):
    """What was told as the answer is none: the model writes another one."""


class Words:
    """The content in pieces. Where it is to have a shape, only what looks like JSON is told before the end."""

    def __init__(self, *, has_shape: bool) -> None:
        self._has_shape = has_shape
        self._paragraphs = Paragraphs()
        # The message that is written: its first sign that can be seen, and what of it nobody has been told.
        self._message_id, self._first = "", ""
        self._held: list[str] = []
        self._told: set[str] = set()

    def next(self, message_id: str, piece: str) -> str:
        """Return what is to be told once this piece of a message is there. Raises WrittenAgainError."""
        if message_id != self._message_id:
            self._message_id, self._first = message_id, ""
            self._held.clear()
        self._first = self._first or piece.lstrip()[:1]
        self._held.append(piece)
        return "" if self._has_shape and self._first not in _JSON else self.rest()

    def rest(self) -> str:
        """Return what has not been told of the last message. Raises WrittenAgainError."""
        held = "".join(self._held)
        self._held.clear()
        if not held:
            return ""
        if self._has_shape and self._told - {self._message_id}:
            raise WrittenAgainError
        self._told.add(self._message_id)
        return self._paragraphs.next(self._message_id, held)

    def void(self, message_ids: Collection[str]) -> bool:
        """Drop what is held of messages that are none any more; say whether something of them was told."""
        if self._message_id in message_ids:
            self._held.clear()
        return not self._told.isdisjoint(message_ids)


def content_of(texts: Iterable[str], *, has_shape: bool) -> str:
    """Return the content, whole."""
    said = [text for text in texts if text]
    return joined(said[-1:] if has_shape else said)
