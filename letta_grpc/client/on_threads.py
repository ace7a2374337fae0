"""Where the client meets grpc's blocking API. Its twin for asyncio is `on_asyncio`: same names, same promises."""

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from contextvars import copy_context
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

import grpc

from letta_grpc.client.dialing import CHANNEL_OPTIONS, RUN_ID_KEY, Metadata, Tls, credentials_of
from letta_grpc.client.errors import StreamBroken, StreamClosed
from letta_grpc.client.fair_lock import FairLock
from letta_grpc.client.forks import OpenCall, require_sound_process
from letta_grpc.client.functions import called, unended
from letta_grpc.client.statuses import error_from

Request = TypeVar("Request")
Response = TypeVar("Response")

Channel = grpc.Channel
UnaryMethod = grpc.UnaryUnaryMultiCallable
StreamMethod = grpc.UnaryStreamMultiCallable
DialogueMethod = grpc.StreamStreamMultiCallable
Lock = FairLock
Event = threading.Event
Sleep = Callable[[float], None]
# What to do with a call in its thread.
Job = Callable[[Any], Any]


def wait(event: Event, seconds: float) -> None:
    """Wait for an event, but no longer than this."""
    event.wait(seconds)


def run_function(function: Callable[..., Any], /, *arguments: object, **named: object) -> object:
    """Run a caller's function; a coroutine in a loop and a thread of its own, for this one may have a loop: a notebook's.

    Raises TypeError where an awaitable comes from what is no `async def`: it may belong to a loop that waits for this thread.
    """
    if inspect.iscoroutinefunction(function):
        return _run_aside(partial(function, *arguments, **named))
    result = called(function, *arguments, **named)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        name = getattr(function, "__qualname__", type(function).__qualname__)
        raise TypeError(f"{name} gave an awaitable; the blocking client awaits `async def` functions alone: use AsyncClient")
    return result


def _run_aside(function: Callable[[], Coroutine[Any, Any, object]]) -> object:
    """Run a coroutine in a thread. Who waits for it may be interrupted: then it is cancelled, and what it holds put away."""
    begun: Future[asyncio.Task[Any] | None] = Future()
    ended = threading.Event()

    async def run() -> object:
        begun.set_result(asyncio.current_task())
        try:
            return await function()
        finally:
            ended.set()

    def cancel(begun: Future[asyncio.Task[Any] | None]) -> None:
        if task := begun.result():
            # It may have ended meanwhile, and its loop with it.
            with suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)

    with ThreadPoolExecutor(max_workers=1) as thread:
        try:
            return thread.submit(copy_context().run, lambda: asyncio.run(run())).result()
        except asyncio.CancelledError as error:
            raise unended(error) from error
        finally:
            # Without effect on what has ended. Whoever is interrupted while the thread is started has no future, and is not
            # waited for by the executor either.
            begun.add_done_callback(cancel)
            if begun.done():
                ended.wait()


def open_channel(target: str, tls: Tls) -> Channel:
    """Return a channel; it connects with its first call."""
    require_sound_process()
    credentials = credentials_of(tls)
    if credentials is None:
        return grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
    return grpc.secure_channel(target, credentials, options=CHANNEL_OPTIONS)


def call(method: "UnaryMethod[Request, Response]", request: Request, metadata: Metadata, limit: float | None) -> Response:
    """Make one call. Raises LettaError."""
    try:
        with _closed_channels_told(), closing(OpenCall()):
            return method(request, timeout=limit, metadata=metadata)
    except grpc.RpcError as error:
        raise error_from(error) from error


class EventCall(Generic[Response]):
    """One streaming call, from its start to its first failure or its end.

    A thread of its own waits for grpc, and the caller for the thread. grpc's blocking calls know no timeout; and an interrupt,
    be it Ctrl-C or a notebook's stop button, that meets the caller inside one leaves a lock of grpc's taken for ever, so that
    every call of the channel stands still. A queue takes both.
    """

    # None where grpc has refused to begin it.
    _call: Any = None

    def __init__(self, method: "StreamMethod[Request, Response]", request: Request, metadata: Metadata) -> None:
        self._follow(lambda: method(request, metadata=metadata))

    # What begins is an iterator, a call and an error in one, which has no public name.
    def _follow(self, begin: Callable[[], Any]) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open = OpenCall()
        with _closed_channels_told():
            self._call = begin()

    def run_id(self, limit: float | None) -> str | None:
        """Wait until the call is accepted, or has failed: then None, and `read` tells why."""
        metadata = self._wait(lambda call: call.initial_metadata(), limit)
        return next((str(value) for key, value in metadata or () if key == RUN_ID_KEY), None)

    def read(self, limit: float | None) -> Response | None:
        """Return the next response; None behind the last one of a call that ended OK. Raises LettaError."""
        response: Response | None = self._wait(lambda call: next(call, None), limit)
        return response

    def done_writing(self) -> None:
        """Say that no more requests come; the only one has."""

    def __del__(self) -> None:
        # A stream that is dropped without being closed: the thread would keep its call open for ever.
        self.close()

    def close(self) -> None:
        """End the call, and the thread."""
        self._jobs.put(None)
        if self._call is not None:
            self._call.cancel()
        self._open.close()

    def _wait(self, job: Job, limit: float | None) -> Any:  # noqa: ANN401 - what the job gives
        if self._thread is None:
            # It knows the call alone: a stream that is dropped has to be let go of.
            parts = (self._call, self._jobs, self._answers)
            self._thread = threading.Thread(target=_run_jobs, args=parts, name="letta-grpc-call", daemon=True)
            self._thread.start()
        self._jobs.put(job)
        try:
            answer = self._answers.get(timeout=limit)
        except Empty:
            self._call.cancel()
            raise StreamBroken(f"no word from the server for {limit:g} seconds") from None
        if isinstance(answer, grpc.RpcError):
            raise error_from(answer) from answer
        if isinstance(answer, Exception):
            raise answer
        return answer


class DialogueCall(EventCall[Response]):
    """One call on which both sides stream."""

    def __init__(self, method: "DialogueMethod[Any, Response]", metadata: Metadata) -> None:
        # Bounded by what is followed at once. grpc takes from it in a thread of its own; None ends it.
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._follow(lambda: method(iter(self._requests.get, None), metadata=metadata))

    def write(self, request: object) -> None:
        """Send a request; when the call has ended `read` tells why."""
        self._requests.put(request)

    def done_writing(self) -> None:
        """Say that no more requests come."""
        self._requests.put(None)

    def close(self) -> None:
        """End the call, and the thread that takes its requests."""
        self._requests.put(None)
        super().close()


@contextmanager
def _closed_channels_told() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        # grpc has no class of its own for it, and raises this one for other faults too.
        if "closed" not in str(error):
            raise
        raise StreamClosed("the channel is closed") from error


def _run_jobs(call: Any, jobs: "SimpleQueue[Job | None]", answers: "SimpleQueue[Any]") -> None:  # noqa: ANN401 - as above
    for job in iter(jobs.get, None):
        try:
            answers.put(job(call))
        except Exception as error:  # noqa: BLE001 - whatever it is, it concerns the one who waits
            answers.put(error)
    # For a reader that comes too late.
    answers.put(StreamBroken("the call was closed on this side"))
