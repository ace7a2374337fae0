"""One request to a receiver, and where it may go."""

import asyncio
from collections.abc import Mapping

import httpx2

from letta_grpc.adapters.web_addresses import NameUnknownError, PrivateAddressError
from letta_grpc.adapters.web_callbacks import PRIVATE_REFUSED
from letta_grpc.adapters.web_client import web_client
from letta_grpc.domain.callbacks import CallbackOutcome

_HEADERS = {"content-type": "application/json", "user-agent": "letta_grpc"}


async def post(
    url: str, body: str, headers: Mapping[str, str], *, allow_private_addresses: bool, timeout_seconds: float
) -> CallbackOutcome:
    """Send a request; the body of its answer is not read."""
    client = await web_client(
        {**_HEADERS, **headers}, allow_private_addresses=allow_private_addresses, timeout_seconds=timeout_seconds
    )
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
