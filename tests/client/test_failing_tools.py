"""Whatever a caller's tool raises, the model is told: it does not end the turn, in neither twin."""

import asyncio
import concurrent.futures
from collections.abc import Callable

import pytest

from letta_grpc.client import Answer
from letta_grpc.client._async.turn import Answering as AsyncAnswering
from letta_grpc.client._sync.turn import Answering
from letta_grpc.v1 import messages_pb2, runs_pb2


def unreadable() -> str:
    # As Python has a file name that is not UTF-8.
    raise FileNotFoundError("no such entry: " + b"caf\xe9.txt".decode(errors="surrogateescape"))


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise AttributeError("no words")


def speechless() -> str:
    raise SpeechlessError


async def cancelled_by_others() -> str:
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(waiting.cancel)
    return await waiting


def cancelled_in_a_loop_of_its_own() -> str:
    # A thread of its own, as the caller's may have a loop already.
    with concurrent.futures.ThreadPoolExecutor() as thread:
        return thread.submit(asyncio.run, cancelled_by_others()).result()


TOLD = {
    unreadable: r"FileNotFoundError: no such entry: caf\udce9.txt",
    speechless: "SpeechlessError",
    cancelled_by_others: "RuntimeError: a function raised CancelledError",
    cancelled_in_a_loop_of_its_own: "RuntimeError: a function raised CancelledError",
}


WAITING = [runs_pb2.PendingAction(tool_call_id="call-1", name="work", kind=runs_pb2.ACTION_KIND_CLIENT_TOOL)]


def failure(answer: Answer) -> str:
    assert isinstance(answer, messages_pb2.ToolReturn)
    assert answer.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    return answer.text


def never() -> bool:
    return False


@pytest.mark.parametrize(("function", "words"), TOLD.items())
async def test_what_a_tool_raises_is_told_to_the_model(function: Callable[[], object], words: str) -> None:
    answers = await AsyncAnswering({"work": function}, None).answers(WAITING, never)
    assert failure(answers["call-1"]) == words


@pytest.mark.parametrize(("function", "words"), TOLD.items())
def test_the_blocking_twin_tells_it_too(function: Callable[[], object], words: str) -> None:
    answers = Answering({"work": function}, None).answers(WAITING, never)
    assert failure(answers["call-1"]) == words


async def test_a_turn_that_is_cancelled_itself_ends_there() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        turn = group.create_task(AsyncAnswering({"work": work}, None).answers(WAITING, never))
        await begun.wait()
        turn.cancel()
    assert turn.cancelled()
