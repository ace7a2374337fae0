"""One connection, fed by hand: no sockets, and a clock that stands until it is moved."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from letta_grpc.adapters.openai.faults import DisconnectedError, HttpError, NotHttpError, SilenceError, StaleError
from letta_grpc.adapters.openai.http1 import MAX_FRAMING_BYTES, Connection
from letta_grpc.adapters.openai.response import MAX_BUFFERED_BYTES, Patience, Response

PATIENCE = Patience(first_byte_seconds=30, idle_seconds=10)
CHUNKED = b"HTTP/1.1 200 OK\r\nX-Empty:\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


class _Line(asyncio.Transport):
    """Keeps what is written, and remembers what was done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0
        self.is_paused = self.is_closed = self.is_aborted = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return self.is_closed or self.is_aborted

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


class _Home:
    def __init__(self) -> None:
        self.idle: list[Connection] = []
        self.gone: list[Connection] = []

    def take_back(self, connection: Connection) -> None:
        self.idle.append(connection)

    def forget(self, connection: Connection) -> None:
        self.gone.append(connection)


class _Exchange:
    """A connection on which a request has been sent."""

    def __init__(self) -> None:
        self.home = _Home()
        self.line = _Line()
        self.connection = Connection(self.home)
        self.connection.connection_made(self.line)
        self.response: Response
        self.ask()

    def ask(self) -> None:
        self.home.idle.clear()
        self.response = self.connection.send(b"head", b"body", PATIENCE)

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            if piece and not self.line.is_closing():
                self.connection.data_received(piece)

    def end(self, error: Exception | None = None) -> None:
        self.connection.connection_lost(error)

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            await self.response.head()
            body = b""
            while piece := await self.response.read():
                body += piece
        return self.response.status, body

    async def failure(self) -> HttpError:
        with pytest.raises(HttpError) as raised:
            await self.answer()
        return raised.value


class _Time:
    """The loop's time. It goes on by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time()

    async def pass_by(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.now += seconds
        for _ in range(3):
            await asyncio.sleep(0)


@pytest.fixture
async def exchange() -> AsyncIterator[_Exchange]:
    exchange = _Exchange()
    yield exchange
    exchange.response.close()


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> _Time:
    loop = asyncio.get_running_loop()
    time = _Time(loop)
    monkeypatch.setattr(loop, "time", lambda: time.now)
    return time


def splits(data: bytes) -> Iterator[tuple[bytes, ...]]:
    yield from ((data[:at], data[at:]) for at in range(len(data) + 1))
    yield tuple(data[at : at + 1] for at in range(len(data)))


ANSWERS = {
    "chunked": CHUNKED + b"3;note=1\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    "trailers": CHUNKED + b"5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n",
    "sized": SIZED + b"abcde",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + SIZED + b"abcde",
    "capitals": b"HTTP/1.1 200 \r\nTRANSFER-ENCODING: Chunked\r\n\r\n05\r\nabcde\r\n000\r\n\r\n",
}


@pytest.mark.parametrize("data", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_is_the_same_wherever_it_is_cut_into_reads(data: bytes) -> None:
    for pieces in splits(data):
        exchange = _Exchange()
        exchange.receive(*pieces)
        assert await exchange.answer() == (200, b"abcde")
        assert exchange.home.idle == [exchange.connection]


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    for pieces in splits(UNTIL_CLOSE + b"abcde"):
        exchange = _Exchange()
        exchange.receive(*pieces)
        assert not exchange.response.is_complete
        exchange.end()
        assert await exchange.answer() == (200, b"abcde")
        assert exchange.home.idle == []
        assert exchange.home.gone == [exchange.connection]


async def test_an_answer_that_is_cut_anywhere_is_no_complete_one() -> None:
    for data in (ANSWERS["chunked"], ANSWERS["sized"], ANSWERS["interim"]):
        for length in range(len(data)):
            exchange = _Exchange()
            exchange.receive(data[:length])
            exchange.end()
            assert type(await exchange.failure()) is DisconnectedError


async def test_a_body_without_a_length_is_cut_where_the_connection_broke(exchange: _Exchange) -> None:
    exchange.receive(UNTIL_CLOSE + b"abc")
    exchange.end(ConnectionResetError())
    assert await exchange.response.read() == b"abc"
    with pytest.raises(DisconnectedError):
        await exchange.response.read()


async def test_all_that_came_before_the_reader_woke_is_one_piece(exchange: _Exchange) -> None:
    reading = asyncio.gather(exchange.response.read())
    await asyncio.sleep(0)
    exchange.receive(CHUNKED + b"1\r\na\r\n1\r\nb\r\n", b"1\r\nc\r\n", b"1\r\nd\r", b"\n1")
    (piece,) = await reading
    assert piece == b"abcd"


async def test_a_reader_waits_through_what_is_no_body(exchange: _Exchange) -> None:
    reading = asyncio.gather(exchange.response.read())
    for piece in (CHUNKED, b"5", b"\r\n", b"abcde"):
        await asyncio.sleep(0)
        exchange.receive(piece)
    (piece,) = await reading
    assert piece == b"abcde"


async def test_a_connection_serves_one_request_after_the_other(exchange: _Exchange) -> None:
    for data in (*ANSWERS.values(), *ANSWERS.values()):
        exchange.receive(data)
        assert await exchange.answer() == (200, b"abcde")
        assert exchange.connection.is_open
        exchange.ask()
    assert exchange.line.written == b"headbody" * (2 * len(ANSWERS) + 1)


async def test_it_is_home_before_its_answer_has_been_read(exchange: _Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    first = exchange.response
    assert exchange.home.idle == [exchange.connection]
    exchange.ask()
    exchange.receive(SIZED + b"12345")
    assert await first.read() == b"abcde"
    first.close()
    assert not exchange.line.is_closing()
    assert await exchange.answer() == (200, b"12345")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
    ],
)
async def test_a_server_that_closes_its_connection_is_believed(exchange: _Exchange, data: bytes) -> None:
    exchange.receive(data)
    assert await exchange.answer() == (200, b"abcde")
    assert exchange.home.idle == []
    assert exchange.line.is_closed


async def test_a_connection_whose_request_was_not_read_is_not_kept(exchange: _Exchange) -> None:
    exchange.line.unsent = 1
    exchange.receive(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert await exchange.answer() == (413, b"")
    assert exchange.home.idle == []
    assert exchange.line.is_closed


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", b"x"])
async def test_a_connection_on_which_more_comes_than_was_asked_for_is_given_up(exchange: _Exchange, more: bytes) -> None:
    exchange.receive(ANSWERS["sized"] + more)
    assert await exchange.answer() == (200, b"abcde")
    assert not exchange.connection.is_open


async def test_a_connection_on_which_something_comes_unasked_is_given_up(exchange: _Exchange) -> None:
    exchange.receive(ANSWERS["sized"], b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert exchange.line.is_aborted


async def test_headers_of_a_refusal_are_there_in_lower_case(exchange: _Exchange) -> None:
    exchange.receive(b"HTTP/1.1 429 Slow\r\nRETRY-After: 7 \r\nX-Empty:\r\nX-N: \xe9\r\nContent-Length: 0\r\n\r\n")
    await exchange.response.head()
    assert exchange.response.headers == {"retry-after": "7", "x-empty": "", "x-n": "é", "content-length": "0"}


async def test_headers_of_an_answer_are_not_kept(exchange: _Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    assert exchange.response.headers == {}


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"<html>",
        b"\x16\x03\x01",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_said_so_and_its_connection_ended(exchange: _Exchange, data: bytes) -> None:
    exchange.receive(data)
    assert isinstance(await exchange.failure(), NotHttpError)
    assert exchange.line.is_aborted


async def test_what_came_before_a_broken_chunk_is_given_first(exchange: _Exchange) -> None:
    exchange.receive(CHUNKED + b"2\r\nab\r\nzz\r\n")
    assert await exchange.response.read() == b"ab"
    with pytest.raises(NotHttpError):
        await exchange.response.read()


@pytest.mark.parametrize(
    ("start", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"x" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-Header: ", b"x" * 1000),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 40),
        (CHUNKED + b"1;", b"x" * 1000),
        (CHUNKED + b"1\r\na\r\n0\r\n", b"X-Trailer: " + b"x" * 1000 + b"\r\n"),
    ],
    ids=["headers", "header", "interim", "extension", "trailers"],
)
async def test_a_head_without_an_end_does_not_fill_the_memory(exchange: _Exchange, start: bytes, endless: bytes) -> None:
    exchange.receive(start, *[endless] * (MAX_FRAMING_BYTES // len(endless)))
    assert not exchange.line.is_aborted
    exchange.receive(endless, endless)
    assert exchange.line.is_aborted
    assert isinstance(await exchange.failure(), NotHttpError)


async def test_a_long_body_has_no_such_limit(exchange: _Exchange) -> None:
    exchange.receive(CHUNKED, *[b"2\r\nab\r\n"] * MAX_FRAMING_BYTES, b"0\r\n\r\n")
    assert (await exchange.answer())[1] == b"ab" * MAX_FRAMING_BYTES


async def test_a_reader_who_does_not_read_stops_the_socket_and_goes_on_where_it_stopped(exchange: _Exchange) -> None:
    piece = b"400\r\n" + b"x" * 1024 + b"\r\n"
    sent = 0
    exchange.receive(CHUNKED)
    while not exchange.line.is_paused:
        exchange.receive(piece)
        sent += 1
    assert sent * 1024 == MAX_BUFFERED_BYTES + 1024
    assert len(await exchange.response.read()) == sent * 1024
    assert not exchange.line.is_paused
    exchange.receive(piece)
    assert len(await exchange.response.read()) == 1024


async def test_a_connection_goes_home_reading(exchange: _Exchange) -> None:
    exchange.receive(CHUNKED + b"80000\r\n" + b"x" * 0x80000)
    assert exchange.line.is_paused
    exchange.receive(b"\r\n0\r\n\r\n")
    assert exchange.home.idle == [exchange.connection]
    assert not exchange.line.is_paused


async def test_a_used_connection_that_ends_before_a_byte_came_is_stale(exchange: _Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    exchange.ask()
    exchange.end(ConnectionResetError())
    assert isinstance(await exchange.failure(), StaleError)


async def test_a_used_connection_that_ends_behind_the_first_byte_is_not_stale(exchange: _Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    exchange.ask()
    exchange.receive(b"H")
    exchange.end()
    assert type(await exchange.failure()) is DisconnectedError


async def test_closing_an_answer_under_way_breaks_its_connection(exchange: _Exchange) -> None:
    exchange.receive(CHUNKED + b"1\r\na\r\n")
    exchange.response.close()
    assert exchange.line.is_aborted


async def test_a_wait_for_the_first_byte_ends_in_time_however_the_head_drips(exchange: _Exchange, time: _Time) -> None:
    waiting = asyncio.gather(exchange.response.head(), return_exceptions=True)
    for letter in CHUNKED[:29]:
        exchange.receive(bytes([letter]))
        await time.pass_by(1)
    assert not waiting.done()
    await time.pass_by(2)
    (failure,) = await waiting
    assert isinstance(failure, SilenceError)
    assert failure.seconds == 30


async def test_the_first_byte_is_one_of_the_body(exchange: _Exchange, time: _Time) -> None:
    exchange.receive(CHUNKED)
    await time.pass_by(20)
    reading = asyncio.gather(exchange.response.read(), return_exceptions=True)
    await time.pass_by(9)
    assert not reading.done()
    await time.pass_by(2)
    assert isinstance((await reading)[0], SilenceError)


async def test_only_silence_between_two_pieces_is_idle(exchange: _Exchange, time: _Time) -> None:
    exchange.receive(CHUNKED)
    for _ in range(20):
        reading = asyncio.gather(exchange.response.read(), return_exceptions=True)
        await time.pass_by(9)
        exchange.receive(b"1\r\na\r\n")
        (piece,) = await reading
        assert piece == b"a"
    reading = asyncio.gather(exchange.response.read(), return_exceptions=True)
    await time.pass_by(9.5)
    assert not reading.done()
    await time.pass_by(1)
    (failure,) = await reading
    assert isinstance(failure, SilenceError)
    assert failure.seconds == 10


async def test_a_reader_who_comes_late_has_all_its_time(exchange: _Exchange, time: _Time) -> None:
    exchange.receive(CHUNKED + b"1\r\na\r\n")
    assert await exchange.response.read() == b"a"
    await time.pass_by(1000)
    reading = asyncio.gather(exchange.response.read(), return_exceptions=True)
    await time.pass_by(9.5)
    assert not reading.done()
    await time.pass_by(1)
    assert isinstance((await reading)[0], SilenceError)


async def test_a_wait_can_be_given_up_and_taken_up_again(exchange: _Exchange) -> None:
    exchange.receive(CHUNKED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await exchange.response.read()
    exchange.receive(b"1\r\na\r\n")
    assert await exchange.response.read() == b"a"
