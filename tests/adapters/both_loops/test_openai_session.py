"""Connections as they are opened, kept, lost and given up: real sockets, real TLS, a real proxy."""
# ruff: noqa: ANN401 - fields passed through by name

import asyncio
import gc
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from letta_grpc.adapters.openai import OpenAIEndpoint
from letta_grpc.adapters.openai.faults import ConnectTimeoutError, DisconnectedError, HttpError, ProxyRefusedError
from letta_grpc.adapters.openai.http1 import Connection
from letta_grpc.adapters.openai.pool import ConnectionPool
from letta_grpc.adapters.openai.response import MAX_BUFFERED_BYTES
from letta_grpc.adapters.openai.session import Session
from tests.support.http_lines import OK, Line, client_tls, server_tls, serving

Connect = Callable[..., Session]


@pytest.fixture
async def connect(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Connect]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    opened: list[Session] = []

    def connect(base_url: str | int, tls: ssl.SSLContext | None = None, **fields: Any) -> Session:
        url = f"http://127.0.0.1:{base_url}" if isinstance(base_url, int) else base_url
        opened.append(Session(OpenAIEndpoint(name="test", base_url=url, **fields), "x", tls))
        return opened[-1]

    yield connect
    for session in opened:
        await session.close()


async def ask(session: Session, body: bytes = b"{}", **headers: str) -> bytes:
    async with asyncio.timeout(20):
        response = await session.post(lambda: body, headers)
        try:
            received = b""
            while piece := await response.read():
                received += piece
            return received
        finally:
            response.close()


async def answer_each(line: Line) -> None:
    while True:
        await line.request()
        await line.send(OK)


async def test_one_connection_serves_call_after_call(connect: Connect) -> None:
    async with serving(answer_each) as served:
        session = connect(served.port)
        assert [await ask(session) for _ in range(5)] == [b"ok"] * 5
        assert served.lines == 1
        await session.close()


async def test_calls_at_once_have_a_connection_each_and_leave_them_all(connect: Connect) -> None:
    all_came = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        if line.number == 40:
            all_came.set()
        await all_came.wait()
        await line.send(OK)
        await answer_each(line)

    async with serving(talk) as served:
        session = connect(served.port)
        for _ in range(2):
            assert await asyncio.gather(*(ask(session) for _ in range(40))) == [b"ok"] * 40
        assert (served.lines, served.connected) == (40, 40)
        await session.close()


async def test_a_connection_that_the_server_closed_is_not_used_again(connect: Connect) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        await line.send(OK)

    async with serving(talk) as served:
        session = connect(served.port)
        for calls in range(1, 4):
            assert await ask(session) == b"ok"
            assert served.lines == calls
            await served.until(connected=0)


async def test_a_call_that_dies_on_a_used_connection_goes_out_once_more_on_a_new_one(connect: Connect) -> None:
    bodies: list[bytes] = []

    async def talk(line: Line) -> None:
        bodies.append((await line.request())[2])
        await line.send(OK)
        bodies.append((await line.request())[2])

    async with serving(talk) as served:
        session = connect(served.port)
        assert await ask(session, b"first") == b"ok"
        assert await ask(session, b"second") == b"ok"
        assert (bodies, served.lines) == ([b"first", b"second", b"second"], 2)
        await session.close()


async def test_a_call_that_dies_on_a_new_connection_or_behind_the_first_byte_does_not(connect: Connect) -> None:
    async def talk(line: Line) -> None:
        await line.request()
        if line.number == 2:
            await line.send(OK)
            await line.request()
            await line.send(b"H")

    async with serving(talk) as served:
        session = connect(served.port)
        with pytest.raises(DisconnectedError):
            await ask(session)
        assert served.lines == 1
        assert await ask(session) == b"ok"
        with pytest.raises(DisconnectedError):
            await ask(session)
        assert served.lines == 2


async def test_an_idle_connection_grows_old(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("letta_grpc.adapters.openai.pool.KEEP_ALIVE_SECONDS", 0.1)
    async with serving(answer_each) as served:
        session = connect(served.port)
        await asyncio.gather(*(ask(session) for _ in range(3)))
        lines = served.lines
        await served.until(connected=0)
        assert await ask(session) == b"ok"
        assert served.lines == lines + 1
        await session.close()


async def test_a_call_that_is_given_up_breaks_its_connection(connect: Connect) -> None:
    asked = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        asked.set()
        await line.left()

    async with serving(talk) as served:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ask(connect(served.port)))
            await asked.wait()
            task.cancel()
        await served.until(connected=0)


async def test_closing_the_session_ends_idle_connections_and_calls_under_way(connect: Connect) -> None:
    asked = asyncio.Event()

    async def talk(line: Line) -> None:
        await line.request()
        await line.send(OK)
        await line.request()
        asked.set()
        await line.left()

    async with serving(talk) as served:
        session = connect(served.port)
        await ask(session)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_failure(session))
            await asked.wait()
            await session.close()
        assert isinstance(task.result(), DisconnectedError)
        await served.until(connected=0)
        assert served.lines == 1


async def test_a_connection_that_comes_about_when_all_are_closed_is_not_kept() -> None:
    async with serving(answer_each) as served:

        async def dial(factory: Callable[[], Connection]) -> None:
            await asyncio.get_running_loop().create_connection(factory, "127.0.0.1", served.port)
            await pool.close()

        pool = ConnectionPool(dial)
        with pytest.raises(DisconnectedError):
            await pool.open()
        await served.until(connected=0)


async def test_a_body_that_cannot_be_made_leaves_no_connection(connect: Connect) -> None:
    def encode() -> bytes:
        raise ValueError

    async with serving(answer_each) as served:
        session = connect(served.port)
        await ask(session)
        with pytest.raises(ValueError, match=r"^$"):
            await session.post(encode, {})
        await served.until(connected=0)


async def test_megabytes_go_out_and_come_back_while_neither_side_fills_its_memory(connect: Connect) -> None:
    size = 32 * MAX_BUFFERED_BYTES

    async def talk(line: Line) -> None:
        _, _, body = await line.request()
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(talk) as served:
        response = await connect(served.port).post(lambda: b"x" * size, {})
        total = 0
        while piece := await response.read():
            assert len(piece) <= 3 * MAX_BUFFERED_BYTES
            total += len(piece)
            await asyncio.sleep(0)
        assert total == size
        response.close()


async def test_a_call_that_waits_does_not_keep_its_body(connect: Connect) -> None:
    all_came = asyncio.Semaphore(0)

    async def talk(line: Line) -> None:
        _, headers = await line.head()
        for _ in range(int(headers["content-length"]) // 65536):
            await line.reader.readexactly(65536)
        all_came.release()
        await line.left()

    async with serving(talk) as served:
        session = connect(served.port)
        tracemalloc.start()
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_post(session, 1024 * 1024)) for _ in range(20)]
                for _ in tasks:
                    await all_came.acquire()
                gc.collect()
                held, _ = tracemalloc.get_traced_memory()
                for task in tasks:
                    task.cancel()
        finally:
            tracemalloc.stop()
        assert held < 10 * 1024 * 1024


async def test_a_name_with_several_addresses_is_reached_on_the_one_that_answers(connect: Connect) -> None:
    async with serving(answer_each) as served:
        session = connect(f"http://localhost:{served.port}")
        assert await ask(session) == b"ok"
        await session.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_tls_is_spoken_where_the_url_says_so(connect: Connect, host: str) -> None:
    async with serving(answer_each, server_tls()) as served:
        session = connect(f"https://{host}:{served.port}", client_tls())
        assert [await ask(session) for _ in range(3)] == [b"ok"] * 3
        assert served.lines == 1
        await session.close()


async def test_a_server_that_nobody_vouches_for_is_told_nothing(connect: Connect) -> None:
    heard: list[bytes] = []

    async def talk(line: Line) -> None:
        heard.append(await line.reader.read(1))

    async with serving(talk, server_tls()) as served:
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(connect(f"https://localhost:{served.port}"))
    assert heard in ([], [b""])


async def test_a_handshake_that_never_ends_is_no_connection_in_time(connect: Connect) -> None:
    async def talk(line: Line) -> None:
        await line.left()

    async with serving(talk) as served:
        session = connect(f"https://localhost:{served.port}", client_tls(), connect_timeout_seconds=0.05)
        with pytest.raises(ConnectTimeoutError):
            await ask(session)
        await served.until(connected=0)


async def test_headers_are_those_of_the_provider_and_of_the_call(connect: Connect) -> None:
    seen: list[dict[str, str]] = []

    async def talk(line: Line) -> None:
        seen.append((await line.request())[1])
        await line.send(OK)

    async with serving(talk) as served:
        await ask(connect(served.port, api_key="k"), b"12345", traceparent="00-a-b-01")
        await ask(connect(f"http://ada:pw@127.0.0.1:{served.port}"))
    common = {
        "host": f"127.0.0.1:{served.port}",
        "accept": "text/event-stream, application/json",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "user-agent": "letta-grpc",
    }
    first = {"content-length": "5", "authorization": "Bearer k", "traceparent": "00-a-b-01"}
    assert seen == [common | first, common | {"content-length": "2", "authorization": "Basic YWRhOnB3"}]


async def test_a_plain_call_goes_to_the_proxy_with_its_whole_address(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, dict[str, str], bytes]] = []

    async def talk(line: Line) -> None:
        while True:
            seen.append(await line.request())
            await line.send(OK)

    async with serving(talk) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://ada:p%40ss@127.0.0.1:{proxy.port}")
        session = connect("http://models.test:8080/v1")
        assert [await ask(session), await ask(session)] == [b"ok", b"ok"]
        assert proxy.lines == 1
        await session.close()
    start, headers, _ = seen[0]
    assert start == "POST http://models.test:8080/v1/x HTTP/1.1"
    assert headers["host"] == "models.test:8080"
    assert headers["proxy-authorization"] == "Basic YWRhOnBAc3M="


@pytest.mark.parametrize("proxy_tls", [None, server_tls()], ids=["http", "https"])
async def test_a_secure_call_goes_through_a_tunnel_that_sees_nothing_of_it(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, proxy_tls: ssl.SSLContext | None
) -> None:
    seen: list[tuple[str, dict[str, str]]] = []

    async with serving(answer_each, server_tls()) as served:

        async def tunnel(line: Line) -> None:
            seen.append(await line.head())
            await line.send(b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
            await line.pump("127.0.0.1", served.port)

        async with serving(tunnel, proxy_tls) as proxy:
            scheme = "https" if proxy_tls else "http"
            monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://ada:pw@localhost:{proxy.port}")
            session = connect("https://models.test/v1", client_tls(), api_key="secret")
            assert [await ask(session), await ask(session)] == [b"ok", b"ok"]
            assert (proxy.lines, served.lines) == (1, 1)
            await session.close()
    proxied = {"host": "models.test:443", "proxy-authorization": "Basic YWRhOnB3"}
    assert seen == [("CONNECT models.test:443 HTTP/1.1", proxied)]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "407"),
        (b"nonsense\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200", "closed"),
        (b"x" * 70_000, "without an end"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_is_said_so(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, answer: bytes, why: str
) -> None:
    async def talk(line: Line) -> None:
        await line.head()
        await line.send(answer)

    async with serving(talk) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ProxyRefusedError, match=why):
            await ask(connect("https://models.test/v1", client_tls()))


async def test_there_is_no_proxy_on_this_machine(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with serving(answer_each) as served:
        session = connect(served.port)
        assert await ask(session) == b"ok"
        await session.close()


async def _failure(session: Session) -> HttpError:
    with pytest.raises(HttpError) as raised:
        await ask(session)
    return raised.value


async def _post(session: Session, size: int) -> None:
    await session.post(lambda: b"x" * size, {})
