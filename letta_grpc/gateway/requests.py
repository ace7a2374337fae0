"""HTTP requests as the messages of their RPCs."""

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from letta_grpc.gateway.descriptors import fields_of
from letta_grpc.gateway.failures import invalid, refused
from letta_grpc.gateway.queries import json_from
from letta_grpc.gateway.reading import fill, nested
from letta_grpc.gateway.routes import Binding

# By these names the rule of streams knows numbers, and the positions that a stream can be resumed at.
NUMBER = "sequence_number"
POSITION = f"after_{NUMBER}"
_MAX_POSITION = 2**31 - 1
# `²` is a digit to Python and no number, and beyond 4300 digits it reads none.
_NUMBER = re.compile(r"[0-9]{1,18}")


class Requests:
    """Makes the request of a binding from what HTTP brings."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def message_of(
        self, binding: Binding, variables: Mapping[str, str], query: list[tuple[str, str]], body: object
    ) -> Message:
        """Return the request. Raises Failure."""
        request = binding.rpc.request()
        fill(request, self._body(binding, body), self._pool)
        fill(request, self._query(binding, variables, query), self._pool)
        for path, text in variables.items():
            self._set_variable(request, path, text)
        return request

    def _body(self, binding: Binding, body: object) -> object:
        if binding.body == "*":
            return {} if body is None else body
        if binding.body:
            return {} if body is None else {binding.body: body}
        if body is not None:
            raise refused(f"{binding.verb} {binding.template.text} takes no body: send its fields as query parameters.")
        return {}

    def _query(self, binding: Binding, variables: Mapping[str, str], query: list[tuple[str, str]]) -> dict[str, Any]:
        if binding.body == "*" and query:
            raise invalid({name: "is a query parameter: here all fields are sent in the body" for name, _ in query})
        taken = {path for path in variables if "." not in path} | ({binding.body} if binding.body else set())
        return json_from(query, binding.rpc.request_type, frozenset(taken))

    def _set_variable(self, request: Message, path: str, text: str) -> None:
        """Set a field from the path; a body that says otherwise is refused rather than overruled."""
        before = _read(request, path)
        fill(request, nested(path, text), self._pool)
        if before and before != _read(request, path):
            raise invalid({path: f"the path says {text}, the body says {before}"})


def _read(message: Any, path: str) -> Any:  # noqa: ANN401 - fields by name
    for step in path.split("."):
        message = getattr(message, step)
    return message


def resume(binding: Binding, request: Message, last_event_id: str) -> None:
    """Let a stream go on behind the last event that the client has, if it is one that can. Raises Failure."""
    if not last_event_id or POSITION not in fields_of(binding.rpc.request_type):
        return
    position = int(last_event_id) if _NUMBER.fullmatch(last_event_id) else -1
    if not 0 <= position <= _MAX_POSITION:
        raise invalid({"Last-Event-ID": f"must be a number from 0 to {_MAX_POSITION}, is {last_event_id[:50]!r}"})
    setattr(request, POSITION, position)
