"""Reading JSON that is still being written. The contract: `letta_grpc.testing.partial_json`."""

from collections.abc import Sequence
from typing import Protocol

# A key, and the text that was added to its value.
Addition = tuple[str, str]


class PartialStrings(Protocol):
    """The values of some members of one JSON object, as far as they have come. Only members that are strings count."""

    def feed(self, text: str) -> Sequence[Addition]:
        """Take the next piece of the JSON text, cut anywhere; return what it adds to the values, in order.

        What was returned is never taken back. Never raises: what is no JSON adds nothing. Of a repeated key the first value
        counts.
        """
        ...

    def finish(self) -> Sequence[Addition]:
        """Say that nothing more comes; return what was held back. The additions of a key, joined, are its value."""
        ...


class PartialJson(Protocol):
    """Makes readers of JSON that is still being written."""

    def strings(self, keys: Sequence[str]) -> PartialStrings:
        """Return a reader of these members of one object."""
        ...
