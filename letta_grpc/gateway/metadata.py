"""Headers that go on as gRPC metadata, and the one that comes back."""

from starlette.types import Scope

from letta_grpc.gateway.bodies import header
from letta_grpc.gateway.failures import refused

Metadata = tuple[tuple[str, str], ...]

RUN_ID_KEY = "letta-run-id"
_PASSED_ON = ("authorization", "traceparent", "tracestate")
# Named as grpc-gateway names it.
_FORWARDED_FOR = "x-forwarded-for"
_LONGEST = 1000


def metadata_of(scope: Scope) -> Metadata:
    """Return what a call says beside its request: the caller's key, its trace and its address. Raises Failure."""
    given = ((name, header(scope, name.encode())) for name in _PASSED_ON)
    passed_on = tuple((name, printable(name, value)) for name, value in given if value)
    sender = _sender(scope)
    return (*passed_on, (_FORWARDED_FOR, sender)) if sender else passed_on


def metadata_with_password(scope: Scope) -> Metadata:
    """Return the same; the key may come as the reference server's password, too. Raises Failure."""
    metadata = metadata_of(scope)
    password = header(scope, b"x-bare-password").removeprefix("password ").strip()
    if not password or not _is_printable(password) or any(name == "authorization" for name, _ in metadata):
        return metadata
    return (*metadata, ("authorization", f"Bearer {password}"))


def _sender(scope: Scope) -> str:
    """Return the client's address, behind those that proxies name. It is for logs: what metadata cannot carry is left out."""
    named = header(scope, _FORWARDED_FOR.encode())[-_LONGEST:]
    # A socket in the file system has no addresses.
    address = (scope.get("client") or ("",))[0]
    return ", ".join(each for each in (named, address) if each and _is_printable(each))


def printable(name: str, value: str) -> str:
    """Return what came in a header, if metadata can carry it. Raises Failure."""
    if not _is_printable(value):
        raise refused(f"The header {name} holds more than printable ASCII.")
    return value


def _is_printable(value: str) -> bool:
    """Say whether metadata can carry it."""
    return value.isascii() and value.isprintable()
