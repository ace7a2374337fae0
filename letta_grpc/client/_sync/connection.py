"""One channel to a server, and how calls are made on it."""

import os
from collections.abc import Generator, Callable, Iterable
from typing import Protocol, TypeVar

from letta_grpc.client.dialing import Metadata
from letta_grpc.client.errors import DeadlineExceeded, LettaError, StreamClosed
from letta_grpc.client.forks import require_sound_process
from letta_grpc.client.on_threads import (
    Channel,
    DialogueCall,
    DialogueMethod,
    Event,
    EventCall,
    Sleep,
    StreamMethod,
    UnaryMethod,
    call,
    wait,
)
from letta_grpc.client.retry import Backoff, RetryPolicy
from letta_grpc.v1 import run_service_pb2_grpc

Item = TypeVar("Item")


class PageRequest(Protocol):
    """Asks for a part of a list."""

    page_token: str


class Page(Protocol):
    """A part of a list."""

    next_page_token: str


Request = TypeVar("Request")
Response = TypeVar("Response")
AnyPageRequest = TypeVar("AnyPageRequest", bound=PageRequest)
AnyPage = TypeVar("AnyPage", bound=Page)


class Connection:
    """Makes calls, each with the API key, a time limit and typed errors."""

    def __init__(
        self,
        channel: Channel,
        *,
        metadata: Metadata,
        timeout_seconds: float | None,
        retry: RetryPolicy,
        sleep: Sleep | None,
    ) -> None:
        self.channel = channel
        # Made once, while the channel is open: to make a stub of a closed one can end the process.
        self.runs = run_service_pb2_grpc.RunServiceStub(channel)
        self.timeout_seconds = timeout_seconds
        self.retry = retry
        self._sleep = sleep
        self._metadata = metadata
        self._closed = Event()
        # Where the first call was made.
        self._process: int | None = None

    def close(self) -> None:
        """Make no more calls; the channel is its owner's."""
        self._closed.set()

    def change(self, method: "UnaryMethod[Request, Response]", request: Request, *, unlimited: bool = False) -> Response:
        """Make a call that must not be made twice."""
        self._require_usable()
        return call(method, request, self._metadata, None if unlimited else self.timeout_seconds)

    def ask(
        self,
        method: "UnaryMethod[Request, Response]",
        request: Request,
        *,
        unlimited: bool = False,
        closed: Event | None = None,
    ) -> Response:
        """Make a call that may be repeated without harm; it is, while the server is out of reach and who asks is open."""
        limit = None if unlimited else self.timeout_seconds
        backoff = Backoff(self.retry)
        before: LettaError | None = None
        while True:
            self._require_usable()
            try:
                return call(method, request, self._metadata, limit)
            except DeadlineExceeded as error:
                if before is None:
                    raise
                error.message += f"; the try before failed: {before}"
                raise error from before
            except LettaError as error:
                self.pause(backoff.delay_after(error, self.retry.call_attempts), closed or self._closed)
                if closed is not None and closed.is_set():
                    raise
                # This frame is in its traceback: it would hold itself.
                before = error.with_traceback(None)

    def pause(self, seconds: float, closed: Event) -> None:
        """Wait between two tries, but no longer than until whoever tries is closed."""
        if self._sleep is None:
            wait(closed, seconds)
        else:
            self._sleep(seconds)

    def pages(
        self,
        method: "UnaryMethod[AnyPageRequest, AnyPage]",
        request: AnyPageRequest,
        items: Callable[[AnyPage], Iterable[Item]],
    ) -> Generator[Item, None]:
        """Yield the items of all pages."""
        while True:
            page = self.ask(method, request)
            for item in items(page):
                yield item
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def follow(self, method: "StreamMethod[Request, Response]", request: Request) -> "EventCall[Response]":
        """Begin a streaming call. It has no deadline: a run may take its time; silence is what ends it."""
        self._require_usable()
        return EventCall(method, request, self._metadata)

    def converse(self, method: "DialogueMethod[Request, Response]") -> "DialogueCall[Response]":
        """Begin a call on which both sides stream."""
        self._require_usable()
        return DialogueCall(method, self._metadata)

    def _require_usable(self) -> None:
        if self._closed.is_set():
            raise StreamClosed("the client is closed")
        require_sound_process()
        self._process = self._process or os.getpid()
        if self._process != os.getpid():
            # grpc goes on in a child only if no thread was inside it at the fork; else a call may wait for ever.
            raise RuntimeError("this client was used before the process was forked: make another one after the fork")
