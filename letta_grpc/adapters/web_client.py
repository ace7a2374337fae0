"""The client of requests to servers that callers name."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cache

import httpx2

from letta_grpc.adapters.web_addresses import VettedTransport


async def web_client(
    headers: Mapping[str, str], *, allow_private_addresses: bool, timeout_seconds: float
) -> httpx2.AsyncClient:
    """Return a client, to be closed. Proxies and credentials of the server's environment are not for its callers."""
    tls = await asyncio.to_thread(tls_context)
    inner = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False)
    transport = VettedTransport(inner, allow_private_addresses=allow_private_addresses)
    return httpx2.AsyncClient(trust_env=False, transport=transport, timeout=timeout_seconds, headers=headers)


@cache
def tls_context() -> ssl.SSLContext:
    """Return the context that all of them share: to make one takes tens of milliseconds, in which no stream goes on.

    Blocks for as long the first time. Nothing of the server's environment is in it.
    """
    return httpx2.create_ssl_context(trust_env=False)
