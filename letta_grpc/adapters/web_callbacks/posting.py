"""One request to a receiver, and where it may go."""

import asyncio

import httpx2

from letta_grpc.adapters import web_tls
from letta_grpc.adapters.web_addresses import NameUnknownError, PrivateAddressError, VettedTransport
from letta_grpc.adapters.web_callbacks import PRIVATE_REFUSED
from letta_grpc.domain.callbacks import CallbackOutcome

_HEADERS = {"content-type": "application/json", "user-agent": "letta_grpc"}


async def post(url: str, body: str, *, allow_private_addresses: bool, timeout_seconds: float) -> CallbackOutcome:
    """Send a request; the body of its answer is not read."""
    # Neither proxies nor credentials of the server's environment are for its callers.
    tls = await asyncio.to_thread(web_tls.context)
    transport = VettedTransport(
        httpx2.AsyncHTTPTransport(verify=tls, trust_env=False), allow_private_addresses=allow_private_addresses
    )
    client = httpx2.AsyncClient(trust_env=False, transport=transport, timeout=timeout_seconds, headers=_HEADERS)
    try:
        async with asyncio.timeout(timeout_seconds), client:
            request = client.build_request("POST", url, content=body.encode())
            response = await client.send(request, stream=True, follow_redirects=False)
            await response.aclose()
            return CallbackOutcome(status_code=response.status_code)
    except TimeoutError:
        return CallbackOutcome(error=f"no answer came within {timeout_seconds:g} s")
    except NameUnknownError:
        return CallbackOutcome(error="its host name is not known")
    except PrivateAddressError:
        return CallbackOutcome(error=PRIVATE_REFUSED)
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        return CallbackOutcome(error=f"its server does not answer as a web server does ({type(error).__name__})")
