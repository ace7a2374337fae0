"""One connection: which bytes are a response, where it ends, and whether the connection can be used again."""

from collections.abc import AsyncIterator, Iterator

import pytest

from letta_grpc.adapters.openai.faults import DisconnectedError, NotHttpError, StaleError
from letta_grpc.adapters.openai.http1 import MAX_FRAMING_BYTES
from tests.support.http1_exchange import CHUNKED, Exchange

SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.response.close()


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
        exchange = Exchange()
        exchange.receive(*pieces)
        assert await exchange.answer() == (200, b"abcde")
        assert exchange.owner.idle == [exchange.connection]


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    for pieces in splits(UNTIL_CLOSE + b"abcde"):
        exchange = Exchange()
        exchange.receive(*pieces)
        assert not exchange.response.is_complete
        exchange.end()
        assert await exchange.answer() == (200, b"abcde")
        assert exchange.owner.idle == []
        assert exchange.owner.gone == [exchange.connection]


async def test_an_answer_that_is_cut_anywhere_is_no_complete_one() -> None:
    for data in (ANSWERS["chunked"], ANSWERS["sized"], ANSWERS["interim"]):
        for length in range(len(data)):
            exchange = Exchange()
            exchange.receive(data[:length])
            exchange.end()
            assert type(await exchange.failure()) is DisconnectedError


async def test_a_body_without_a_length_is_cut_where_the_connection_broke(exchange: Exchange) -> None:
    exchange.receive(UNTIL_CLOSE + b"abc")
    exchange.end(ConnectionResetError())
    assert await exchange.response.read() == b"abc"
    with pytest.raises(DisconnectedError):
        await exchange.response.read()


async def test_a_connection_serves_one_request_after_the_other(exchange: Exchange) -> None:
    for data in (*ANSWERS.values(), *ANSWERS.values()):
        exchange.receive(data)
        assert await exchange.answer() == (200, b"abcde")
        assert exchange.connection.is_open
        exchange.ask()
    assert exchange.line.written == b"headbody" * (2 * len(ANSWERS) + 1)


async def test_it_is_home_before_its_answer_has_been_read(exchange: Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    first = exchange.response
    assert exchange.owner.idle == [exchange.connection]
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
async def test_a_server_that_closes_its_connection_is_believed(exchange: Exchange, data: bytes) -> None:
    exchange.receive(data)
    assert await exchange.answer() == (200, b"abcde")
    assert exchange.owner.idle == []
    assert exchange.line.is_closed


async def test_a_connection_whose_request_was_not_read_is_not_kept(exchange: Exchange) -> None:
    exchange.line.unsent = 1
    exchange.receive(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
    assert await exchange.answer() == (413, b"")
    assert exchange.owner.idle == []
    assert exchange.line.is_closed


@pytest.mark.parametrize("more", [b"HTTP/1.1 200 OK\r\n", b"x"])
async def test_a_connection_on_which_more_comes_than_was_asked_for_is_given_up(exchange: Exchange, more: bytes) -> None:
    exchange.receive(ANSWERS["sized"] + more)
    assert await exchange.answer() == (200, b"abcde")
    assert not exchange.connection.is_open


async def test_a_connection_on_which_something_comes_unasked_is_given_up(exchange: Exchange) -> None:
    exchange.receive(ANSWERS["sized"], b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert exchange.line.is_aborted


async def test_headers_of_a_refusal_are_there_in_lower_case(exchange: Exchange) -> None:
    exchange.receive(b"HTTP/1.1 429 Slow\r\nRETRY-After: 7 \r\nX-Empty:\r\nX-N: \xe9\r\nContent-Length: 0\r\n\r\n")
    await exchange.response.head()
    assert exchange.response.headers == {"retry-after": "7", "x-empty": "", "x-n": "é", "content-length": "0"}


async def test_headers_of_an_answer_are_not_kept(exchange: Exchange) -> None:
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
async def test_what_is_no_http_is_said_so_and_its_connection_ended(exchange: Exchange, data: bytes) -> None:
    exchange.receive(data)
    assert isinstance(await exchange.failure(), NotHttpError)
    assert exchange.line.is_aborted


async def test_what_came_before_a_broken_chunk_is_given_first(exchange: Exchange) -> None:
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
async def test_a_head_without_an_end_does_not_fill_the_memory(exchange: Exchange, start: bytes, endless: bytes) -> None:
    exchange.receive(start, *[endless] * (MAX_FRAMING_BYTES // len(endless)))
    assert not exchange.line.is_aborted
    exchange.receive(endless, endless)
    assert exchange.line.is_aborted
    assert isinstance(await exchange.failure(), NotHttpError)


async def test_a_long_body_has_no_such_limit(exchange: Exchange) -> None:
    exchange.receive(CHUNKED, *[b"2\r\nab\r\n"] * MAX_FRAMING_BYTES, b"0\r\n\r\n")
    assert (await exchange.answer())[1] == b"ab" * MAX_FRAMING_BYTES


async def test_a_used_connection_that_ends_before_a_byte_came_is_stale(exchange: Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    exchange.ask()
    exchange.end(ConnectionResetError())
    assert isinstance(await exchange.failure(), StaleError)


async def test_a_used_connection_that_ends_behind_the_first_byte_is_not_stale(exchange: Exchange) -> None:
    exchange.receive(ANSWERS["sized"])
    exchange.ask()
    exchange.receive(b"H")
    exchange.end()
    assert type(await exchange.failure()) is DisconnectedError


async def test_closing_an_answer_under_way_breaks_its_connection(exchange: Exchange) -> None:
    exchange.receive(CHUNKED + b"1\r\na\r\n")
    exchange.response.close()
    assert exchange.line.is_aborted
