"""Who is told of the ends of runs."""

from urllib.parse import urlsplit

from letta_grpc.domain.callbacks import MAX_CALLBACK_URL, Callback
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.times import timestamp_from_pb, timestamp_to_pb
from letta_grpc.v1 import runs_pb2 as pb


def callback_to_pb(callback: Callback) -> pb.Callback:
    """Return a callback as it stands."""
    return pb.Callback(
        url=callback.url,
        attempts=callback.attempts,
        send_time=timestamp_to_pb(callback.send_time) if callback.send_time else None,
        status_code=callback.status_code,
        error=callback.error,
    )


def callback_from_pb(callback: pb.Callback) -> Callback:
    """Return a callback that the server wrote."""
    return Callback(
        url=callback.url,
        attempts=callback.attempts,
        send_time=timestamp_from_pb(callback.send_time) if callback.HasField("send_time") else None,
        status_code=callback.status_code if callback.HasField("status_code") else None,
        error=callback.error if callback.HasField("error") else None,
    )


def callback_url_from_pb(rules: Rules, path: str, spec: pb.RunSpec) -> str | None:
    """Return the address that is told of the end; None where the request names none."""
    if not spec.HasField("callback_url"):
        return None
    url = rules.text(path, spec.callback_url, MAX_CALLBACK_URL, required=True)
    if url and not _is_web_address(url):
        rules.broken(path, "must be an http or https address")
    return url


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
