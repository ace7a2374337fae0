"""Where the client meets grpc's blocking API. Its twin for asyncio is `on_asyncio`: same names, same promises."""

import asyncio
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

import grpc

from letta_grpc.client.dialing import CHANNEL_OPTIONS, RUN_ID_KEY, Metadata, Tls, credentials_of
from letta_grpc.client.errors import StreamBroken
from letta_grpc.client.statuses import error_from

Request = TypeVar("Request")
Response = TypeVar("Response")

Channel = grpc.Channel
UnaryMethod = grpc.UnaryUnaryMultiCallable
StreamMethod = grpc.UnaryStreamMultiCallable
DialogueMethod = grpc.StreamStreamMultiCallable
Lock = threading.Lock
Sleep = Callable[[float], None]


def sleep(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


def run_function(function: Callable[..., Any], *arguments: object, **named: object) -> object:
    """Run a caller's function; a coroutine in a loop and a thread of its own, for this one may have a loop: a notebook's."""
    if inspect.iscoroutinefunction(function):
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, function(*arguments, **named)).result()
    return function(*arguments, **named)


def open_channel(target: str, tls: Tls) -> Channel:
    """Return a channel; it connects with its first call."""
    credentials = credentials_of(tls)
    if credentials is None:
        return grpc.insecure_channel(target, options=CHANNEL_OPTIONS)
    return grpc.secure_channel(target, credentials, options=CHANNEL_OPTIONS)


def call(method: "UnaryMethod[Request, Response]", request: Request, metadata: Metadata, limit: float | None) -> Response:
    """Make one call. Raises LettaError."""
    with _errors_translated():
        return method(request, timeout=limit, metadata=metadata)


class EventCall(Generic[Response]):
    """One streaming call, from its start to its first failure or its end."""

    def __init__(self, method: "StreamMethod[Request, Response]", request: Request, metadata: Metadata) -> None:
        self._call = method(request, metadata=metadata)
        self._watchdog = Watchdog(self._call.cancel)

    def run_id(self, limit: float | None) -> str | None:
        """Wait until the call is accepted, or has failed: then None, and `read` tells why."""
        with _errors_translated(), self._watchdog.watching(limit):
            metadata = self._call.initial_metadata()
        return next((str(value) for key, value in metadata or () if key == RUN_ID_KEY), None)

    def read(self, limit: float | None) -> Response | None:
        """Return the next response; None behind the last one of a call that ended OK. Raises LettaError."""
        with _errors_translated(), self._watchdog.watching(limit):
            return next(self._call, None)

    def done_writing(self) -> None:
        """Say that no more requests come; the only one has."""

    def __del__(self) -> None:
        # A stream that is dropped without being closed: the watchdog's thread would keep its call open for ever.
        self.close()

    def close(self) -> None:
        """End the call."""
        self._watchdog.stop()
        self._call.cancel()


class DialogueCall(EventCall[Response]):
    """One call on which both sides stream."""

    def __init__(self, method: "DialogueMethod[Any, Response]", metadata: Metadata) -> None:
        # Bounded by what is followed at once. grpc takes from it in a thread of its own; None ends it.
        self._requests: SimpleQueue[Any] = SimpleQueue()
        self._call = method(iter(self._requests.get, None), metadata=metadata)
        self._watchdog = Watchdog(self._call.cancel)

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


class Watchdog:
    """Cancels a call that says nothing for too long: grpc's blocking read knows no timeout.

    One thread per call, begun by the first wait that has a limit. Between waits it is asleep, so a caller may take its time.
    """

    def __init__(self, bark: Callable[[], object]) -> None:
        self._bark = bark
        self._changed = threading.Condition()
        self._deadline: float | None = None
        self._barked = False
        self._stopped = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def watching(self, limit: float | None) -> Iterator[None]:
        """Give what is done inside so many seconds. Raises StreamBroken when they were not enough."""
        self._set(None if limit is None else time.monotonic() + limit)
        try:
            yield
        except grpc.RpcError as error:
            if self._barked:
                raise StreamBroken(f"no word from the server for {limit:g} seconds") from error
            raise
        finally:
            self._set(None)

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _set(self, deadline: float | None) -> None:
        with self._changed:
            earlier = deadline is not None and self._deadline is None
            self._deadline = deadline
            if deadline is not None and self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._watch, name="letta-grpc-watchdog", daemon=True)
                self._thread.start()
            elif earlier:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._stopped:
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is not None and left <= 0:
                    self._barked = True
                    break
                self._changed.wait(left)
        if self._barked:
            self._bark()


@contextmanager
def _errors_translated() -> Iterator[None]:
    try:
        yield
    except grpc.RpcError as error:
        raise error_from(error) from error
