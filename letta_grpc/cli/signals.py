"""The signals that tell a program to end."""

import os
import signal

# A container's: no signal ends it that it does not handle.
_FIRST_PROCESS = 1


def end_at_once_on(*numbers: signal.Signals) -> None:
    """Have these end the process as they end any other, should it be a container's first one."""
    if os.getpid() == _FIRST_PROCESS:
        for number in numbers:
            signal.signal(number, lambda number, _: os._exit(128 + number))


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, SIGINT for Ctrl-C, and SIGHUP for a terminal that is closed, unless `nohup` has that one ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if ignored else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
