"""Ports that are kept for servers that come and go."""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_port() -> Iterator[int]:
    """Give a free port that nobody else is given as a free one, also while its server is down."""
    with socket.socket() as holder:
        # On Linux both who hold a port without listening and one who does may have it, if all say this.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if sys.platform != "linux":
            holder.close()
        yield port
