"""TLS of the requests to servers that callers name."""

import ssl
from functools import cache

import httpx2


@cache
def context() -> ssl.SSLContext:
    """Return the context that all of them share: to make one takes tens of milliseconds, in which no stream goes on.

    Blocks for as long the first time. Nothing of the server's environment is in it.
    """
    return httpx2.create_ssl_context(trust_env=False)
