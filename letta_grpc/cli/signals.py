"""The signals that tell a server to end."""

import signal


def ending_signals() -> tuple[signal.Signals, ...]:
    """Return SIGTERM, SIGINT for Ctrl-C, and SIGHUP for a terminal that is closed, unless `nohup` has that one ignored."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT) if ignored else (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
