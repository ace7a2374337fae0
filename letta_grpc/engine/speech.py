"""What a call of a memgpt agent thinks and says, while the model still writes it."""

from collections.abc import Iterable, Iterator

from letta_grpc.domain.arguments import object_in
from letta_grpc.domain.memgpt import MESSAGE, THINKING
from letta_grpc.domain.messages import ReasoningPart, TextPart
from letta_grpc.ports.partial_json import Addition, PartialJson

# More of what is said, or thought.
Said = tuple[type[TextPart | ReasoningPart], str]

_KINDS: dict[str, type[TextPart | ReasoningPart]] = {THINKING: ReasoningPart, MESSAGE: TextPart}


class Speech:
    """Listens to one call. If it `speaks`, its arguments are heard, not shown.

    `given` is what a rule lets it say and think, in place of what the model writes there.
    """

    def __init__(self, partial_json: PartialJson, given: str, *, speaks: bool) -> None:
        self.speaks = speaks
        members = object_in(given) or {} if given else {}
        heard = [THINKING, MESSAGE] if self.speaks else [THINKING]
        self.given = [(_KINDS[key], value) for key in heard if isinstance(value := members.get(key), str) and value]
        self._reader = partial_json.strings([key for key in heard if key not in members])

    def feed(self, arguments: str) -> Iterator[Said]:
        """Take more of the arguments; return what they add to what is thought and said."""
        return _said(self._reader.feed(arguments))

    def finish(self) -> Iterator[Said]:
        """Return what was held back."""
        return _said(self._reader.finish())


def _said(additions: Iterable[Addition]) -> Iterator[Said]:
    return ((_KINDS[key], text) for key, text in additions)
