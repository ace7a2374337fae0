import asyncio
import socket
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any

import pytest

from letta_grpc.adapters.web_images import WebImages
from letta_grpc.ports.images import ImageUnavailableError
from letta_grpc.testing.images import PNG, ImageLoaderContract, Put
from tests.support.listening import listening

# What a server says to a request of a path.
Site = dict[str, bytes]


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, "connection: close", ""))
    return head.encode() + body


@pytest.fixture
async def site() -> AsyncIterator[tuple[str, Site]]:
    """A web server: its address, and what it says."""
    pages: Site = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        pages["asked"] = head
        writer.write(pages[head.split()[1].decode()])
        await writer.drain()

    async with listening(serve) as address:
        yield f"http://{address}", pages


class TestWebImages(ImageLoaderContract):
    @pytest.fixture
    def loader(self) -> WebImages:
        return WebImages(allow_private_addresses=True)

    @pytest.fixture
    def put(self, site: tuple[str, Site]) -> Put:
        async def put(data: bytes) -> str:
            address, pages = site
            pages["/picture"] = answer(data)
            return f"{address}/picture"

        return put


async def test_redirects_are_followed_so_many_times_and_to_web_addresses_alone(site: tuple[str, Site]) -> None:
    address, pages = site
    loader = WebImages(allow_private_addresses=True)
    pages["/a"] = answer(b"", "302 Found", "location: /b")
    pages["/b"] = answer(PNG)
    pages["/round"] = answer(b"", "302 Found", "location: /round")
    pages["/file"] = answer(b"", "302 Found", "location: file:///etc/passwd")
    assert (await loader.load(f"{address}/a", 1000)).media_type == "image/png"
    for path, words in (("round", "redirects more than 3 times"), ("file", "not at an http or https address")):
        with pytest.raises(ImageUnavailableError, match=words):
            await loader.load(f"{address}/{path}", 1000)


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oh", "204 No Content", "302 Found", "304 Not Modified"])
async def test_another_status_than_200_is_told(site: tuple[str, Site], status: str) -> None:
    address, pages = site
    pages["/x"] = answer(PNG, status)
    with pytest.raises(ImageUnavailableError, match=status[:3]):
        await WebImages(allow_private_addresses=True).load(f"{address}/x", 1000)


async def test_what_comes_packed_is_not_unpacked(site: tuple[str, Site]) -> None:
    address, pages = site
    pages["/x"] = answer(b"\x1f\x8b" + b"\0" * 30, "200 OK", "content-encoding: gzip")
    with pytest.raises(ImageUnavailableError, match="no PNG"):
        await WebImages(allow_private_addresses=True).load(f"{address}/x", 1000)
    assert b"accept-encoding: identity" in pages["asked"].lower()


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "169.254.169.254", "10.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433"]
)
async def test_addresses_of_private_networks_are_refused_and_the_setting_is_named(host: str) -> None:
    with pytest.raises(ImageUnavailableError, match="LETTA_GRPC_IMAGE_PRIVATE_ADDRESSES"):
        await WebImages().load(f"http://{host}:9/x.png", 1000)


async def test_a_name_is_asked_for_once_so_that_it_cannot_mean_another_address_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    connected: list[str] = []

    async def addresses(_loop: object, host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 80))]

    async def connect(self: object, host: str, *_: object, **__: object) -> None:  # noqa: ARG001 - the library's shape
        connected.append(host)
        raise backend.ConnectError("no network in tests")

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", addresses)
    backend = import_module("httpcore2")
    monkeypatch.setattr(backend.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(ImageUnavailableError):
        await WebImages().load("http://pictures.example/x.png", 1000)
    assert (asked, connected) == (["pictures.example"], ["93.184.216.34"])


async def test_a_server_that_never_answers_is_given_up() -> None:
    async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        gone.set()
        await leave.wait()

    gone, leave = asyncio.Event(), asyncio.Event()
    async with listening(silent) as address:
        with pytest.raises(ImageUnavailableError, match=r"within 0\.2 s"):
            await WebImages(allow_private_addresses=True, timeout_seconds=0.2).load(f"http://{address}/", 1000)
        assert gone.is_set()
        leave.set()
