"""The server's ends of one call's channels.

Four of them: the lifeline (closed by us to end the call, closed by the supervisor when the last process is gone), the
job's channel, stdout and stderr. No task: callbacks of the loop read whatever comes.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import chain

from letta_grpc.adapters.sandbox.endings import Ending, Stop
from letta_grpc.adapters.sandbox.output import OutputTap
from letta_grpc.domain.errors import ToolSandboxUnavailable
from letta_grpc.domain.tools import OutputStream
from letta_grpc.ports.tools import Output

_READ_BYTES = 65536
_REPORT_BYTES = 4096
# How long the supervisor may take to bury a call before the whole sandbox is ended.
_BURIAL_SECONDS = 5.0


class Call:
    """One call, from before its fork to the end of its last process.

    Raises ToolSandboxUnavailable.
    """

    def __init__(self, output: Output, *, output_bytes: int, answer_bytes: int, on_stuck: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_stuck = on_stuck
        self._answer_bytes = answer_bytes
        self._answer = bytearray()
        self._report = bytearray()
        self._stop: Stop | None = None
        self._dead = asyncio.Event()
        self._tap = OutputTap(output, limit=output_bytes, on_excess=partial(self._end, Stop.OUTPUT))
        (lifeline, channel, self._stdout, self._stderr), self.their_ends = _open_channels()
        self._lifeline, self._channel = socket.socket(fileno=lifeline), socket.socket(fileno=channel)
        self._watch()

    def release_their_ends(self) -> None:
        """Close the ends that the sandbox has got, or never will."""
        for descriptor in self.their_ends:
            os.close(descriptor)
        self.their_ends = []

    async def finish(self, job: bytes, timeout_seconds: float) -> None:
        """Give the job and wait for the end of the call's last process."""
        try:
            async with asyncio.timeout(timeout_seconds):
                with suppress(ConnectionError):  # It ended before it had read everything.
                    await self._loop.sock_sendall(self._channel, job)
                    self._channel.shutdown(socket.SHUT_WR)
                await self._dead.wait()
        except TimeoutError:
            self._end(Stop.TIMEOUT)

    async def bury(self) -> Ending:
        """End what still runs, wait until it is gone, close everything.

        However often the caller is cancelled meanwhile: it goes on only when nothing of the call is left.
        """
        self.release_their_ends()
        self._let_go()
        cancelled: asyncio.CancelledError | None = None
        last_resort = self._loop.call_later(_BURIAL_SECONDS, self._on_stuck)
        while not self._dead.is_set():
            try:
                await self._dead.wait()
            except asyncio.CancelledError as cancellation:
                cancelled = cancellation
        last_resort.cancel()
        self._close()
        if cancelled:
            raise cancelled
        return Ending(answer=bytes(self._answer), report=bytes(self._report), stop=self._stop)

    def lines(self, stream: OutputStream) -> tuple[str, ...]:
        """Return what the tool wrote."""
        return self._tap.lines(stream)

    def _watch(self) -> None:
        for end in (self._lifeline, self._channel):
            end.setblocking(False)  # noqa: FBT003 - positional only
        self._loop.add_reader(self._lifeline.fileno(), self._on_report)
        self._loop.add_reader(self._channel.fileno(), self._on_answer)
        for stream, descriptor in self._outputs():
            os.set_blocking(descriptor, False)
            self._loop.add_reader(descriptor, self._on_output, stream, descriptor)

    def _outputs(self) -> tuple[tuple[OutputStream, int], ...]:
        return ((OutputStream.STDOUT, self._stdout), (OutputStream.STDERR, self._stderr))

    def _end(self, stop: Stop) -> None:
        self._stop = self._stop or stop
        self._let_go()

    def _let_go(self) -> None:
        with suppress(OSError):  # The other end has gone first.
            self._lifeline.shutdown(socket.SHUT_WR)

    def _on_report(self) -> None:
        data = _received(self._lifeline, _REPORT_BYTES)
        if data:
            self._report += data[: _REPORT_BYTES - len(self._report)]
        elif data == b"":
            self._loop.remove_reader(self._lifeline.fileno())
            self._dead.set()

    def _on_answer(self) -> bool:
        data = _received(self._channel, _READ_BYTES)
        self._answer += data or b""
        # What the tool's own process sends is cut before: this is something else, which could go on for ever.
        if self._answered_too_much:
            self._end(Stop.ANSWER)
        if data == b"" or self._answered_too_much:
            self._loop.remove_reader(self._channel.fileno())
        return bool(data)

    @property
    def _answered_too_much(self) -> bool:
        return len(self._answer) > self._answer_bytes

    def _on_output(self, stream: OutputStream, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, _READ_BYTES)
        except BlockingIOError:
            return False
        if data:
            self._tap.take(stream, data)
        else:
            self._loop.remove_reader(descriptor)
        return bool(data)

    def _close(self) -> None:
        """Take what still lies in the pipes, whose writers are all gone, and close them."""
        for stream, descriptor in self._outputs():
            while not self._tap.exceeded and self._on_output(stream, descriptor):
                pass
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
        while not self._answered_too_much and self._on_answer():
            pass
        self._tap.finish()
        for end in (self._lifeline, self._channel):
            self._loop.remove_reader(end.fileno())
            end.close()


def _open_channels() -> tuple[list[int], list[int]]:
    """Return our ends and theirs: of all channels, or of none."""
    pairs: list[tuple[int, int]] = []
    try:
        for opened in (_socket_pair, _socket_pair, os.pipe, os.pipe):
            pairs.append(opened())  # noqa: PERF401 - the first ones are closed where a later one fails
    except OSError as failure:
        for descriptor in chain.from_iterable(pairs):
            os.close(descriptor)
        raise ToolSandboxUnavailable(f"The server cannot open what a call needs: {failure}") from failure
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def _socket_pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def _received(end: socket.socket, size: int) -> bytes | None:
    """Return what has come, nothing at the end, None if there is nothing yet."""
    try:
        return end.recv(size)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""
