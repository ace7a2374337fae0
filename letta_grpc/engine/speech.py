"""What a call of a memgpt agent thinks and says, while the model still writes it."""

from collections.abc import Iterable, Iterator

from letta_grpc.domain.arguments import object_in
from letta_grpc.domain.memgpt import MESSAGE, THINKING
from letta_grpc.domain.messages import ReasoningPart, TextPart
from letta_grpc.ports.partial_json import Addition, PartialJson

# More of what is said, or thought.
Said = tuple[type[TextPart | ReasoningPart], str]

_KINDS: dict[str, type[TextPart | ReasoningPart]] = {THINKING: ReasoningPart, MESSAGE: TextPart}

# How arguments begin that begin with a thought, but for spaces; and the longest that JSON makes of one character.
_OPENING = '{"' + THINKING + '":"'
_ESCAPE_CHARACTERS = 12


class Speech:
    """Listens to one call. If it `speaks`, its arguments are heard, not shown.

    `given` is what a rule lets it say and think, in place of what the model writes there. While a call `may_think_first`, it
    is not known yet whether it begins with a thought, which is to stand before the call, as in the stored message.
    """

    def __init__(self, partial_json: PartialJson, given: str, *, speaks: bool) -> None:
        self.speaks = speaks
        members = object_in(given) or {} if given else {}
        heard = [THINKING, MESSAGE] if self.speaks else [THINKING]
        self.given = [(_KINDS[key], value) for key in heard if isinstance(value := members.get(key), str) and value]
        self._reader = partial_json.strings([key for key in heard if key not in members])
        self.may_think_first = THINKING not in members
        self._head = ""

    def feed(self, arguments: str) -> Iterator[Said]:
        """Take more of the arguments; return what they add to what is thought and said."""
        said = self._reader.feed(arguments)
        if self.may_think_first:
            self._head += "".join(arguments.split())
            self.may_think_first = not said and _may_begin_with_a_thought(self._head)
        return _said(said)

    def finish(self) -> Iterator[Said]:
        """Return what was held back."""
        return _said(self._reader.finish())


def _said(additions: Iterable[Addition]) -> Iterator[Said]:
    return ((_KINDS[key], text) for key, text in additions)


def _may_begin_with_a_thought(head: str) -> bool:
    is_escaped = head.startswith(f"{_OPENING}\\") and len(head) < len(_OPENING) + _ESCAPE_CHARACTERS
    return is_escaped or _OPENING.startswith(head)
