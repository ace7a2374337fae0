import asyncio
from collections.abc import AsyncIterator

import pytest

from letta_grpc.bench import chunks
from letta_grpc.bench.completions import completion_request, texts
from letta_grpc.bench.connections import ConnectionPool, Dechunker
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.tokens import TokenCheck
from letta_grpc.bench.upstream import Connection, HeldRequests


@pytest.fixture
async def held_requests() -> HeldRequests:
    return HeldRequests()


@pytest.fixture
async def pool(held_requests: HeldRequests) -> AsyncIterator[ConnectionPool]:
    server = await asyncio.get_running_loop().create_server(lambda: Connection(held_requests), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, asyncio.timeout(10):
        pool = ConnectionPool(f"{host}:{port}")
        yield pool
        pool.close()


async def ask(pool: ConnectionPool, scenario: Scenario) -> list[bytes]:
    request = completion_request(scenario.model, "Hello")
    return [event async for events in pool.events(request) for event in events]


@pytest.mark.parametrize("gap_ms", [0, 1])
async def test_an_answer_has_every_token_once_in_order_then_usage_then_its_end(pool: ConnectionPool, gap_ms: int) -> None:
    events = await ask(pool, Scenario(tokens=30, gap_ms=gap_ms))
    check = TokenCheck()
    for text in texts(events):
        check.take(text)
    check.finish(30)
    assert len(check.travel_us) == (30 if gap_ms else 0)
    assert b'"completion_tokens":30' in events[-2]
    assert events[-1] == b"data: [DONE]"


async def test_a_connection_serves_one_answer_after_the_other(pool: ConnectionPool) -> None:
    assert [len(texts(await ask(pool, Scenario(tokens=tokens)))) for tokens in (1, 5, 2)] == [1, 5, 2]


async def test_a_model_that_is_no_scenario_is_refused(pool: ConnectionPool) -> None:
    with pytest.raises(ConnectionError, match="404"):
        [_ async for _ in pool.events(completion_request("gpt-4o", "Hello"))]


async def test_held_answers_wait_for_their_release(pool: ConnectionPool, held_requests: HeldRequests) -> None:
    reply = asyncio.get_running_loop().create_future()

    class Watcher(Connection):
        def reply(self, status: int, text: str) -> None:
            reply.set_result((status, text))

    async with asyncio.TaskGroup() as group:
        answers = [group.create_task(ask(pool, Scenario(tokens=1, held=True))) for _ in range(3)]
        held_requests.watch(Watcher(held_requests), 3)
        assert await reply == (200, "3")
        assert not any(answer.done() for answer in answers)
        held_requests.release()
    assert [len(texts(answer.result())) for answer in answers] == [1, 1, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_a_stream_reads_the_same_however_the_network_cuts_it(size: int) -> None:
    scenario = Scenario(tokens=5)
    body = chunks.burst(scenario).partition(b"\r\n\r\n")[2]
    dechunker = Dechunker()
    events = [event for at in range(0, len(body), size) for event in dechunker.feed(body[at : at + size])]
    assert dechunker.ended
    assert texts(events) == [f"{index}:0 " for index in range(5)]
