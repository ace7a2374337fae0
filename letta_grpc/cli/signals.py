"""The signals that tell a program to end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

# A container's: no signal ends it that it does not handle.
_FIRST_PROCESS = 1


def end_at_once_on(*numbers: signal.Signals) -> None:
    """Have these end the process as they end any other, should it be a container's first one."""
    if os.getpid() == _FIRST_PROCESS:
        for number in numbers:
            signal.signal(number, lambda number, _: os._exit(128 + number))


@contextmanager
def ended_at_once_by_interrupts() -> Iterator[None]:
    """Have Ctrl-C end the process without a word, as long as there is nothing to put away.

    As an exception in the midst of an import it would be told with a traceback, if the import does not turn it into another.
    """
    before = signal.getsignal(signal.SIGINT)
    # A shell has it ignored for what runs in the background.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, _: os._exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, SIGINT for Ctrl-C, and SIGHUP for a terminal that is closed, unless `nohup` has that one ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if ignored else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
