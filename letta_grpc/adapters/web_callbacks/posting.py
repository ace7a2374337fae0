"""One request to a receiver, and where it may go."""

import asyncio
import socket

import httpx2

from letta_grpc.adapters import web_tls
from letta_grpc.adapters.web_callbacks import PRIVATE_REFUSED
from letta_grpc.domain.addresses import is_private
from letta_grpc.domain.callbacks import CallbackOutcome

_HEADERS = {"content-type": "application/json", "user-agent": "letta_grpc"}


class _NotSentError(Exception):
    """The text says why."""


async def post(url: str, body: str, *, allow_private_addresses: bool, timeout_seconds: float) -> CallbackOutcome:
    """Send a request; the body of its answer is not read."""
    # Neither proxies nor credentials of the server's environment are for its callers.
    tls = await asyncio.to_thread(web_tls.context)
    client = httpx2.AsyncClient(trust_env=False, verify=tls, timeout=timeout_seconds, headers=_HEADERS)
    try:
        async with asyncio.timeout(timeout_seconds), client:
            request = client.build_request("POST", url, content=body.encode())
            if not allow_private_addresses:
                request = await _pinned(request)
            response = await client.send(request, stream=True, follow_redirects=False)
            await response.aclose()
            return CallbackOutcome(status_code=response.status_code)
    except TimeoutError:
        return CallbackOutcome(error=f"no answer came within {timeout_seconds:g} s")
    except _NotSentError as error:
        return CallbackOutcome(error=str(error))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return CallbackOutcome(error=f"its server does not answer as a web server does ({type(error).__name__})")


async def _pinned(request: httpx2.Request) -> httpx2.Request:
    """Return the request for the address that was looked at: a second look-up may tell another one."""
    host = request.url.host
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, request.url.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise _NotSentError("its host name is not known") from error
    addresses = [str(entry[4][0]) for entry in found]
    if any(is_private(address) for address in addresses):
        raise _NotSentError(PRIVATE_REFUSED)
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=addresses[0]),
        headers=request.headers,
        content=await request.aread(),
        extensions=request.extensions | {"sni_hostname": host},
    )
