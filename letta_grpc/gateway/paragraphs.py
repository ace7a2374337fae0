"""The texts of several messages as one, for clients that know of no messages: a blank line stands between them."""

from collections.abc import Iterable

_BREAK = "\n\n"


class Paragraphs:
    """Takes texts in pieces, those of a message one behind the other."""

    def __init__(self) -> None:
        self._message_id = ""

    def next(self, message_id: str, piece: str) -> str:
        """Return what a piece adds to the whole."""
        if not piece:
            return ""
        is_further = self._message_id not in ("", message_id)
        self._message_id = message_id
        return f"{_BREAK}{piece}" if is_further else piece


def joined(texts: Iterable[str]) -> str:
    """Return whole texts as one."""
    return _BREAK.join(text for text in texts if text)
