"""Headers that go on as gRPC metadata, and the one that comes back."""

from starlette.types import Scope

from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.failures import refused

Metadata = tuple[tuple[str, str], ...]

RUN_ID_KEY = "letta-run-id"
_PASSED_ON = ("authorization", "traceparent", "tracestate")


def metadata_of(scope: Scope) -> Metadata:
    """Return what a call says beside its request: the caller's key and its trace. Raises Failure."""
    given = ((name, header(scope, name.encode())) for name in _PASSED_ON)
    return tuple((name, printable(name, value)) for name, value in given if value)


def printable(name: str, value: str) -> str:
    """Return what came in a header, if metadata can carry it. Raises Failure."""
    if not (value.isascii() and value.isprintable()):
        raise refused(f"The header {name} holds more than printable ASCII.")
    return value
