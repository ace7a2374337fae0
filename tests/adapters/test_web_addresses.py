"""Which addresses requests to servers that callers name go to, whatever they are for."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpcore2
import httpx2
import pytest

from letta_grpc.adapters.mcp.http import GuardedTransport
from letta_grpc.adapters.web_addresses import NameUnknownError, PrivateAddressError, VettedTransport
from letta_grpc.adapters.web_callbacks import WebCallbacks
from letta_grpc.adapters.web_images import WebImages
from letta_grpc.testing.images import PNG
from tests.support.listening import listening

CLOSED, SILENT, GOOD = "2606:4700::1111", "93.184.216.34", "93.184.216.35"
CERTIFICATE, KEY = (Path(__file__).parents[1] / "support" / "tls" / name for name in ("certificate.pem", "key.pem"))
SECONDS = 20


class Network:
    """The network as a name's addresses show it: `GOOD` is a server on this machine, nobody is at the others."""

    def __init__(self) -> None:
        self.addresses = [CLOSED, SILENT, GOOD]
        self.dialled: list[str] = []
        self.seconds: list[float | None] = []
        self.heads: list[bytes] = []
        self.port = 0

    def look_up(self, port: int | None) -> list[Any]:
        if not self.addresses:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]

    async def dial(self, host: str, seconds: float | None) -> httpcore2.AsyncNetworkStream:
        self.dialled.append(host)
        self.seconds.append(seconds)
        if host == GOOD:
            return await connect(httpcore2.AnyIOBackend(), "127.0.0.1", self.port, seconds)
        raise httpcore2.ConnectTimeout if host == SILENT else httpcore2.ConnectError

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + PNG)
            await writer.drain()

        async with asyncio.timeout(SECONDS), listening(serve, tls) as address:
            self.port = int(address.rpartition(":")[2])
            yield


# It is made where anyio is there, which type checkers do not look into.
connect: Callable[..., Awaitable[httpcore2.AsyncNetworkStream]] = vars(httpcore2.AnyIOBackend)["connect_tcp"]


@pytest.fixture
async def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()

    async def look_up(_loop: object, _host: str, port: int | None, **_: object) -> list[Any]:
        return network.look_up(port)

    async def dial(_backend: object, host: str, _port: int, **options: float | None) -> httpcore2.AsyncNetworkStream:
        return await network.dial(host, options["timeout"])

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", look_up)
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", dial)
    return network


async def test_a_callback_goes_to_the_first_address_that_answers(network: Network) -> None:
    async with network.serving():
        assert (await WebCallbacks().post("http://receiver.example/told", "{}")).status_code == 200
    assert network.dialled == [CLOSED, SILENT, GOOD]
    assert b"host: receiver.example\r\n" in network.heads[0].lower()


async def test_a_picture_comes_from_the_first_address_that_answers(network: Network) -> None:
    async with network.serving():
        assert (await WebImages().load("http://pictures.example/x.png", 1000)).media_type == "image/png"
    assert network.dialled == [CLOSED, SILENT, GOOD]


async def test_an_mcp_server_is_asked_at_the_first_address_that_answers_and_there_from_then_on(network: Network) -> None:
    async with network.serving(), httpx2.AsyncClient(transport=GuardedTransport(allow_private_addresses=False)) as client:
        for _ in range(2):
            assert (await client.post("http://tools.example/mcp", content=b"{}")).content == PNG
    assert network.dialled == [CLOSED, SILENT, GOOD, GOOD]


async def test_a_certificate_is_one_of_the_name_whichever_address_answers(network: Network) -> None:
    names: list[str | None] = []
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=CERTIFICATE)
    server.load_cert_chain(CERTIFICATE, KEY)
    server.sni_callback = lambda _socket, name, _context: names.append(name)
    transport = VettedTransport(httpx2.AsyncHTTPTransport(verify=client), allow_private_addresses=False)
    async with network.serving(server), httpx2.AsyncClient(transport=transport) as web:
        assert (await web.get("https://models.test/x.png")).content == PNG
        network.addresses = [GOOD]
        with pytest.raises(httpx2.ConnectError, match=r"models\.example"):
            await web.get("https://models.example/x.png")
    assert names == ["models.test", "models.example"]


async def test_the_addresses_share_the_time_there_is_to_connect(network: Network) -> None:
    async with network.serving(), httpx2.AsyncClient(transport=transport()) as web:
        await web.get("http://slow.example/", timeout=SECONDS)
        await web.get("http://patient.example/", timeout=None)
    assert network.seconds == [pytest.approx(SECONDS / left, rel=0.2) for left in (3, 2, 1)] + [None]


async def test_one_private_address_is_enough_for_none_to_be_dialled(network: Network) -> None:
    network.addresses = [GOOD, "10.0.0.1"]
    async with httpx2.AsyncClient(transport=transport()) as web:
        with pytest.raises(PrivateAddressError):
            await web.get("http://sly.example/")
    assert not network.dialled


async def test_addresses_are_looked_at_before_each_request(network: Network) -> None:
    async with network.serving(), httpx2.AsyncClient(transport=transport()) as web:
        await web.get("http://sly.example/")
        network.addresses = ["127.0.0.1"]
        with pytest.raises(PrivateAddressError):
            await web.get("http://sly.example/")
    assert network.dialled == [CLOSED, SILENT, GOOD]


async def test_where_no_address_answers_the_last_says_why(network: Network) -> None:
    network.addresses = [CLOSED, SILENT]
    async with httpx2.AsyncClient(transport=transport()) as web:
        with pytest.raises(httpx2.ConnectTimeout):
            await web.get("http://gone.example/")
    assert network.dialled == [CLOSED, SILENT]


async def test_what_was_sent_is_not_sent_again(network: Network) -> None:
    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        network.heads.append(await reader.readuntil(b"\r\n\r\n"))

    network.addresses = [GOOD, GOOD]
    async with asyncio.timeout(SECONDS), listening(hang_up) as address:
        network.port = int(address.rpartition(":")[2])
        async with httpx2.AsyncClient(transport=transport()) as web:
            with pytest.raises(httpx2.RemoteProtocolError):
                await web.get("http://rude.example/")
    assert len(network.heads) == 1


async def test_a_name_that_nobody_knows_is_told(network: Network) -> None:
    network.addresses = []
    async with httpx2.AsyncClient(transport=transport()) as web:
        with pytest.raises(NameUnknownError):
            await web.get("http://unknown.example/")


def transport() -> VettedTransport:
    return VettedTransport(httpx2.AsyncHTTPTransport(), allow_private_addresses=False)
