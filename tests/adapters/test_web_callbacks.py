import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import import_module
from typing import Any

import pytest

from letta_grpc.adapters.web_callbacks import WebCallbacks
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.testing.callbacks import CallbackSenderContract, Receive
from tests.support.callbacks import SECONDS, WebReceiver, receiving
from tests.support.listening import listening

SETTING = "LETTA_GRPC_CALLBACK_PRIVATE_ADDRESSES"


@pytest.fixture
async def receiver() -> AsyncIterator[WebReceiver]:
    async with receiving() as receiver:
        yield receiver


class TestWebCallbacks(CallbackSenderContract):
    @pytest.fixture
    def sender(self) -> WebCallbacks:
        return WebCallbacks(allow_private_addresses=True)

    @pytest.fixture
    def receive(self, receiver: WebReceiver) -> Receive:
        async def receive(answer: str) -> tuple[str, Callable[[], Awaitable[bytes]]]:
            receiver.answers.append(answer)

            async def got() -> bytes:
                async with asyncio.timeout(SECONDS):
                    return (await receiver.got.get())[1]

            return receiver.url, got

        return receive


async def test_a_receiver_is_asked_as_a_web_server_is(receiver: WebReceiver) -> None:
    await WebCallbacks(allow_private_addresses=True).post(f"{receiver.url}?key=a%20b", "{}")
    head, _ = receiver.got.get_nowait()
    assert head.startswith("POST /told?key=a%20b HTTP/1.1\r\n")
    assert "content-type: application/json\r\n" in head.lower()
    assert "traceparent" not in head.lower()


async def test_a_receiver_is_told_to_which_trace_it_belongs(receiver: WebReceiver) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    await WebCallbacks(allow_private_addresses=True).post(receiver.url, "{}", {"traceparent": trace})
    head, _ = receiver.got.get_nowait()
    assert f"traceparent: {trace}\r\n" in head


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "https://[::1]:8000/",
        "https://[fe80::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/latest/",
        "http://localhost:80/",
        "http://a.localhost/",
    ],
)
async def test_private_addresses_are_refused_before_anything_starts(url: str) -> None:
    sender = WebCallbacks()
    with pytest.raises(InvalidRequest) as refused:
        sender.check(url)
    assert SETTING in refused.value.fields["run.callback_url"]
    WebCallbacks(allow_private_addresses=True).check(url)
    assert (await sender.post(url, "{}")).status_code is None


async def test_a_name_is_looked_up_once_and_refused_if_it_is_private(
    receiver: WebReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looked_up(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", looked_up)
    url = receiver.url.replace("127.0.0.1", "looks-public.example.com")
    sender = WebCallbacks()
    sender.check(url)
    assert SETTING in ((await sender.post(url, "{}")).error or "")
    assert receiver.got.empty()


async def test_the_address_that_was_looked_up_is_the_one_that_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []

    async def looked_up(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.215.14", 80))]

    async def connect(self: object, host: str, *_: object, **__: object) -> None:  # noqa: ARG001 - the library's shape
        connected.append(host)
        raise backend.ConnectError("no network in tests")

    backend = import_module("httpcore2")
    monkeypatch.setattr(asyncio.get_running_loop().__class__, "getaddrinfo", looked_up)
    monkeypatch.setattr(backend.AnyIOBackend, "connect_tcp", connect)
    outcome = await WebCallbacks().post("http://receiver.example/told", "{}")
    assert (outcome.status_code, connected) == (None, ["93.184.215.14"])


async def test_public_addresses_are_not_refused_by_their_looks() -> None:
    for url in ("https://example.com/told", "http://93.184.215.14:8080/"):
        WebCallbacks().check(url)


async def test_a_receiver_that_is_silent_is_given_up() -> None:
    async def hang(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with asyncio.timeout(SECONDS), listening(hang) as address:
        outcome = await WebCallbacks(allow_private_addresses=True, timeout_seconds=0.2).post(f"http://{address}/", "{}")
    assert (outcome.status_code, outcome.error) == (None, "no answer came within 0.2 s")
