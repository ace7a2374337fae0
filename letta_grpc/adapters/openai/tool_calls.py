"""Which tool call a piece belongs to.

The protocol numbers the calls of an answer and gives id and name once. Vendors leave the number out, give every whole call
the number 0, repeat id and name in each piece, leave the id out, send arguments as an object, or give calls of which neither
a name nor arguments come: those are none.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from letta_grpc.adapters.openai.call_proofs import kept_proof
from letta_grpc.adapters.openai.deltas import Batch


@dataclass(slots=True)
class _Call:
    # None until there is something of it.
    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: list[str] = field(default_factory=list)
    extra: dict[str, Any] | None = None
    is_proved: bool = False

    def is_whole(self) -> bool:
        # Nearly every piece ends inside an object: to read all of them each time would take longer with every piece.
        if _first_in(self.arguments).startswith("{") and not _first_in(reversed(self.arguments)).endswith("}"):
            return False
        try:
            orjson.loads("".join(self.arguments))
        except orjson.JSONDecodeError:
            return False
        return True


class ToolCalls:
    """The calls of one answer, numbered from 0 without a gap in the order in which they begin."""

    __slots__ = ("_begun", "_by_number", "_calls")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._begun: list[_Call] = []
        self._by_number: dict[Any, _Call] = {}

    def __len__(self) -> int:
        return len(self._begun)

    @property
    def are_named(self) -> bool:
        """Whether each call says which tool it calls."""
        return all(call.name for call in self._begun)

    def take(self, pieces: Iterable[dict[str, Any]], batch: Batch) -> None:
        """Add the pieces of one delta."""
        for piece in pieces:
            if not piece:
                continue
            function = piece.get("function") or {}
            self._take(piece.get("index"), _name_of(piece.get("id")), function, batch, extra=piece.get("extra_content"))

    def take_legacy(self, function: dict[str, Any], batch: Batch) -> None:
        """Add a piece of the one call of the protocol's first version (`function_call`)."""
        self._take(0, None, function, batch)

    def _take(
        self,
        number: Any,  # noqa: ANN401 - a vendor's
        call_id: str | None,
        function: dict[str, Any],
        batch: Batch,
        *,
        extra: Any = None,  # noqa: ANN401 - a vendor's
    ) -> None:
        name = _name_of(function.get("name"))
        arguments = _text_of(function.get("arguments"))
        call = self._find(number, call_id)
        if call is None or _is_another(call, number, call_id, name, arguments):
            call = _Call()
            self._calls.append(call)
        if number is not None:
            self._by_number[number] = call
        # Said once is enough, and what a vendor says later is not always the same.
        new_id, call.id = (call_id, call_id) if call.id is None else (None, call.id)
        new_name, call.name = (name, name) if call.name is None else (None, call.name)
        call.arguments.append(arguments)
        if isinstance(extra, dict):
            call.extra = extra
        if call.index is None and (name or arguments):
            call.index, new_id = len(self._begun), call.id
            self._begun.append(call)
        if call.index is None:
            return
        if call.extra and not call.is_proved:
            call.is_proved = True
            # Before its call: with what a message says, and all of that stands before its calls.
            batch.whole(kept_proof(call.index, call.id, call.extra))
        if new_id or new_name or arguments:
            batch.call(call.index, new_id, new_name, arguments)

    def _find(self, number: Any, call_id: str | None) -> _Call | None:  # noqa: ANN401 - a vendor's
        if number is not None:
            return self._by_number.get(number)
        if call_id is not None:
            return next((call for call in self._calls if call.id == call_id), None)
        return self._calls[-1] if self._calls else None


def _is_another(call: _Call, number: Any, call_id: str | None, name: str | None, arguments: str) -> bool:  # noqa: ANN401 - a vendor's
    """Say whether a piece that looks like more of `call` begins another one."""
    if name is None or call.name is None or (call_id is not None and call_id == call.id):
        return False
    has_own_id = call_id is not None and call.id is not None
    if name != call.name and (has_own_id or number is None):
        return True
    # More behind a whole JSON value would make it none.
    return (has_own_id or bool(arguments.strip())) and call.is_whole()


def _first_in(pieces: Iterable[str]) -> str:
    """Return the first piece that is more than space, without the space around it."""
    return next(filter(None, map(str.strip, pieces)), "")


def _name_of(value: Any) -> str | None:  # noqa: ANN401 - a vendor's
    # Half a character cannot be sent on.
    return str(value).encode(errors="replace").decode() if value else None


def _text_of(arguments: Any) -> str:  # noqa: ANN401 - a vendor's
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else orjson.dumps(arguments).decode()
