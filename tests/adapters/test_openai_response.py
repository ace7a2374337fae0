"""Reading a response as it comes, by a clock that stands until it is moved."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from letta_grpc.adapters.openai.faults import SilenceError
from letta_grpc.adapters.openai.response import MAX_BUFFERED_BYTES
from tests.support.http1_exchange import CHUNKED, Exchange


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
async def exchange() -> AsyncIterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.response.close()


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> _Time:
    loop = asyncio.get_running_loop()
    time = _Time(loop)
    monkeypatch.setattr(loop, "time", lambda: time.now)
    return time


async def test_all_that_came_before_the_reader_woke_is_one_piece(exchange: Exchange) -> None:
    reading = asyncio.gather(exchange.response.read())
    await asyncio.sleep(0)
    exchange.receive(CHUNKED + b"1\r\na\r\n1\r\nb\r\n", b"1\r\nc\r\n", b"1\r\nd\r", b"\n1")
    (piece,) = await reading
    assert piece == b"abcd"


async def test_a_reader_waits_through_what_is_no_body(exchange: Exchange) -> None:
    reading = asyncio.gather(exchange.response.read())
    for piece in (CHUNKED, b"5", b"\r\n", b"abcde"):
        await asyncio.sleep(0)
        exchange.receive(piece)
    (piece,) = await reading
    assert piece == b"abcde"


async def test_a_reader_who_does_not_read_stops_the_socket_and_goes_on_where_it_stopped(exchange: Exchange) -> None:
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


async def test_a_connection_goes_home_reading(exchange: Exchange) -> None:
    exchange.receive(CHUNKED + b"80000\r\n" + b"x" * 0x80000)
    assert exchange.line.is_paused
    exchange.receive(b"\r\n0\r\n\r\n")
    assert exchange.owner.idle == [exchange.connection]
    assert not exchange.line.is_paused


async def test_a_wait_for_the_first_byte_ends_in_time_however_the_head_drips(exchange: Exchange, time: _Time) -> None:
    waiting = asyncio.gather(exchange.response.head(), return_exceptions=True)
    for letter in CHUNKED[:29]:
        exchange.receive(bytes([letter]))
        await time.pass_by(1)
    assert not waiting.done()
    await time.pass_by(2)
    (failure,) = await waiting
    assert isinstance(failure, SilenceError)
    assert failure.seconds == 30


async def test_the_first_byte_is_one_of_the_body(exchange: Exchange, time: _Time) -> None:
    exchange.receive(CHUNKED)
    await time.pass_by(20)
    reading = asyncio.gather(exchange.response.read(), return_exceptions=True)
    await time.pass_by(9)
    assert not reading.done()
    await time.pass_by(2)
    assert isinstance((await reading)[0], SilenceError)


async def test_only_silence_between_two_pieces_is_idle(exchange: Exchange, time: _Time) -> None:
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


async def test_a_reader_who_comes_late_has_all_its_time(exchange: Exchange, time: _Time) -> None:
    exchange.receive(CHUNKED + b"1\r\na\r\n")
    assert await exchange.response.read() == b"a"
    await time.pass_by(1000)
    reading = asyncio.gather(exchange.response.read(), return_exceptions=True)
    await time.pass_by(9.5)
    assert not reading.done()
    await time.pass_by(1)
    assert isinstance((await reading)[0], SilenceError)


async def test_a_wait_can_be_given_up_and_taken_up_again(exchange: Exchange) -> None:
    exchange.receive(CHUNKED)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await exchange.response.read()
    exchange.receive(b"1\r\na\r\n")
    assert await exchange.response.read() == b"a"
