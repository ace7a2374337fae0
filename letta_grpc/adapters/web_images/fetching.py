"""One picture: its requests, their redirects, and where they may go."""

import asyncio
from base64 import b64encode

import httpx2

from letta_grpc.adapters.web_addresses import NameUnknownError, PrivateAddressError
from letta_grpc.adapters.web_client import web_client
from letta_grpc.domain.messages import ImagePart
from letta_grpc.domain.pictures import picture_type
from letta_grpc.ports.images import ImageUnavailableError

_MAX_REDIRECTS = 3
_PRIVATE_REFUSED = (
    "its address is one of a private network, and other machines can connect to this server; "
    "LETTA_GRPC_IMAGE_PRIVATE_ADDRESSES=true allows it"
)
# As it is: what is packed could unpack to any size.
_HEADERS = {
    "accept": "image/png, image/jpeg, image/gif, image/webp",
    "accept-encoding": "identity",
    "user-agent": "letta_grpc",
}


async def fetch(url: str, max_bytes: int, *, allow_private_addresses: bool, timeout_seconds: float) -> ImagePart:
    """Return a picture. Raises ImageUnavailableError."""
    client = await web_client(_HEADERS, allow_private_addresses=allow_private_addresses, timeout_seconds=timeout_seconds)
    try:
        async with asyncio.timeout(timeout_seconds), client:
            data = await _get(client, httpx2.URL(url), max_bytes)
    except TimeoutError as error:
        raise ImageUnavailableError(f"it did not come within {timeout_seconds:g} s") from error
    except NameUnknownError as error:
        raise ImageUnavailableError("its host name is not known") from error
    except PrivateAddressError as error:
        raise ImageUnavailableError(_PRIVATE_REFUSED) from error
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
        raise ImageUnavailableError("it cannot be fetched: its server does not answer as a web server does") from error
    media_type = picture_type(data)
    if media_type is None:
        raise ImageUnavailableError("what is there is no PNG, JPEG, GIF or WebP picture")
    return ImagePart(media_type=media_type, data=b64encode(data).decode())


async def _get(client: httpx2.AsyncClient, url: httpx2.URL, max_bytes: int) -> bytes:
    for _ in range(_MAX_REDIRECTS + 1):
        if url.scheme not in ("http", "https") or not url.host:
            raise ImageUnavailableError("it is not at an http or https address")
        request = client.build_request("GET", url)
        response = await client.send(request, stream=True, follow_redirects=False)
        try:
            # Not every 3xx says where to go.
            if response.has_redirect_location:
                url = url.join(response.headers["location"])
                continue
            return await _body(response, max_bytes)
        finally:
            await response.aclose()
    raise ImageUnavailableError(f"its server redirects more than {_MAX_REDIRECTS} times")


async def _body(response: httpx2.Response, max_bytes: int) -> bytes:
    if response.status_code != httpx2.codes.OK:
        raise ImageUnavailableError(f"its server answers with status {response.status_code}")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > max_bytes:
            raise ImageUnavailableError(f"it has more than {max_bytes} bytes")
    return bytes(body)
