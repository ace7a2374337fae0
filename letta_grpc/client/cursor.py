"""A reader's place in a run's log: what is new, what was there before, what is missing."""

from collections.abc import Iterable, Iterator

from letta_grpc.client.errors import StreamBroken
from letta_grpc.v1 import events_pb2, run_service_pb2


class Cursor:
    """Lets each event through once, in order.

    Rule: an event passes only if its number follows the last one. With a filter numbers may jump, so there only their
    order is checked. A heartbeat never passes; what it says has been delivered must have been.
    """

    def __init__(self, after: int, *, filtered: bool) -> None:
        self.position = after
        self.finished = False
        self._filtered = filtered

    def accept(self, events: Iterable[events_pb2.RunEvent]) -> Iterator[events_pb2.RunEvent]:
        """Yield what is new. Raises StreamBroken at the first gap; what came before it counts."""
        for event in events:
            number = event.sequence_number
            if event.HasField("heartbeat"):
                self._require(number <= self.position or self._filtered, number)
                self.position = max(self.position, number)
            elif number > self.position:
                self._require(number == self.position + 1 or self._filtered, number)
                self.position = number
                self.finished = event.HasField("run_finished")
                yield event

    def rewind(self, position: int) -> None:
        """Forget what has passed behind a position, because it was not handed on."""
        if position < self.position:
            self.position, self.finished = position, False

    def _require(self, follows: bool, number: int) -> None:  # noqa: FBT001 - the rule itself
        if not follows:
            raise StreamBroken(f"the stream jumped from event {self.position} to {number}")


def is_filtered(options: run_service_pb2.StreamOptions) -> bool:
    """Tell whether these options leave events out."""
    return bool(options.event_kinds) or options.omit_deltas
