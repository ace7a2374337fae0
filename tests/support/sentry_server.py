"""A stand-in for Sentry on a socket."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeSentry:
    """`events` are the reports that came. It answers with `status`."""

    dsn: str
    status: int = 200
    events: list[dict[str, Any]] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def next_event(self) -> dict[str, Any]:
        """Wait for a report."""
        assert self.arrived.acquire(timeout=20), "no report came"
        return self.events[-1]


@contextmanager
def fake_sentry() -> Iterator[FakeSentry]:
    """Listen on a free port."""
    fake = FakeSentry("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
            self.send_response(fake.status)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
            for event in _events(body):
                fake.events.append(event)
                fake.arrived.release()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        fake.dsn = f"http://public@127.0.0.1:{server.server_address[1]}/7"
        thread = threading.Thread(target=server.serve_forever, name="fake sentry")
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()


def _events(envelope: bytes) -> Iterator[dict[str, Any]]:
    _, *rest = envelope.split(b"\n")
    lines = iter(rest)
    for line in lines:
        if line and json.loads(line).get("type") == "event":
            yield json.loads(next(lines))
