"""Exit codes: what a script can rely on."""

from enum import IntEnum


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNAVAILABLE = 3
    NOT_FOUND = 4
    CANNOT_START = 5
    DENIED = 6
    WAITING = 7
    INTERRUPTED = 130


EXIT_CODES = {
    Exit.OK: "done",
    Exit.FAILED: "the run or the operation failed",
    Exit.USAGE: "wrong arguments or settings",
    Exit.UNAVAILABLE: "the server cannot be reached, is stopping, or did not answer in time",
    Exit.NOT_FOUND: "what was named is not there",
    Exit.CANNOT_START: "the server cannot start: its port is taken, its database cannot be used, …",
    Exit.DENIED: "the API key is missing or wrong",
    Exit.WAITING: "tool calls wait for answers: see `letta-grpc runs waiting`",
    Exit.INTERRUPTED: "interrupted with Ctrl-C",
}


def exit_of_run(state: str) -> Exit:
    """Return the exit code for how a run ended."""
    match state:
        case "RUN_STATE_FAILED":
            return Exit.FAILED
        case "RUN_STATE_INTERRUPTED":
            return Exit.WAITING
        case _:
            return Exit.OK
