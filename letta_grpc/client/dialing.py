"""What every channel of ours is opened with, and what every call says about itself."""

import grpc

from letta_grpc.client.errors import InvalidRequest

DEFAULT_TARGET = "127.0.0.1:50051"

# Tls: False for none, True for the system's roots, or credentials of the caller's own.
Tls = bool | grpc.ChannelCredentials
Metadata = tuple[tuple[str, str], ...]

# What people bring along from HTTP. grpc would take the scheme for a host's name, and every call for one to be repeated.
_URL_SCHEMES = frozenset({"http", "https", "grpc", "grpcs"})

RUN_ID_KEY = "letta-run-id"

# grpc counts nanoseconds in 64 bits, from 1970 to 2262: a time beyond that it takes for one that is past.
_LONGEST_SECONDS = 2.0**32

CHANNEL_OPTIONS: tuple[tuple[str, int], ...] = (
    # Pings go out while a call is open. Servers of ours take one every 5 s; a client that pings more often is cut off.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # The keepalive timeout alone does not notice a peer that stalls; the ping's own, 60 s by default, has to be set too.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Left to itself grpc waits up to two minutes before it dials a lost server again, and fails every call until then.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # What has this name is how long a dial may take, TLS included: a lost packet alone costs a second.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    # A response holds at most 1 MiB of events, or one event of 2 MiB; a page of messages may be larger.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)


def address_in(target: str) -> str | None:
    """Return the host and port of a target that is a URL, which none may be; None of any other."""
    scheme, separator, rest = target.partition("://")
    return rest.partition("/")[0] if separator and scheme.lower() in _URL_SCHEMES else None


def checked_target(target: str) -> str:
    """Return a target as it is. Raises ValueError for a URL."""
    if (address := address_in(target)) is not None:
        example = address or DEFAULT_TARGET
        raise ValueError(
            f"target is {target!r}; it must be host:port, as {example!r}, where gRPC is served; tls=True is for TLS"
        )
    return target


def credentials_of(tls: Tls) -> grpc.ChannelCredentials | None:
    """Return what to secure a channel with; None for plain text."""
    match tls:
        case False:
            return None
        case True:
            return grpc.ssl_channel_credentials()
        case grpc.ChannelCredentials():
            return tls


def time_limit(seconds: float | None) -> float | None:
    """Return how long a call may take; None for as long as it likes. Raises ValueError for what is no time."""
    if seconds is None or seconds > _LONGEST_SECONDS:
        return None
    # Not the other way round: NaN is neither.
    if seconds > 0:
        return seconds
    raise ValueError(f"timeout_seconds is {seconds}: it has to be more than 0; None or math.inf is no limit")


def call_metadata(api_key: str | None) -> Metadata:
    """Return what goes with every call. Raises InvalidRequest for a key that no header takes.

    Metadata, because grpc's call credentials refuse to travel without TLS.
    """
    # Keys are read from files, which end in a line end.
    key = (api_key or "").strip()
    if not (key.isascii() and key.isprintable()):
        # Left to grpc it would look like a fault of the server's, and be repeated. Not quoted: it is a secret.
        raise InvalidRequest("the API key has more than printable ASCII", code=grpc.StatusCode.INVALID_ARGUMENT)
    return (("authorization", f"Bearer {key}"),) if key else ()
