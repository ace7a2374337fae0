"""The channel of a gateway that stands alone in front of a remote server."""

import grpc

# False for none, True for the system's roots, or credentials of one's own.
Tls = bool | grpc.ChannelCredentials

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # The keepalive timeout alone does not notice a peer that stalls.
    ("grpc.http2.ping_timeout_ms", 10_000),
    # A server that restarts is found again within a second or so, not minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # What has this name is how long a dial may take, TLS included: a lost packet alone costs a second.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # The window would grow with what a slow reader leaves unread: so a slow reader costs 100 KiB here, not 8 MiB.
    ("grpc.http2.bdp_probe", 0),
)


def open_channel(target: str, *, tls: Tls) -> grpc.aio.Channel:
    """Return a channel; it connects with its first call, and again whenever it has to."""
    if tls:
        credentials = grpc.ssl_channel_credentials() if tls is True else tls
        return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)
    return grpc.aio.insecure_channel(target, options=_OPTIONS)
