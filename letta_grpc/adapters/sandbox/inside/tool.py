"""The tool's own process: takes one job from the server, does it, ends.

The answer is one letter and a text. Whatever else a tool may write in its place is its own affair: it can only lie about
itself. Rule: the job is read here and nowhere above, so that no other process ever holds a secret.
"""

import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn, TextIO

from . import filter as system_calls
from .limits import Limits

SUCCESS = b"s"
FAILURE = b"e"
SIGNATURE = b"d"
INVALID = b"i"

Job = dict[str, Any]
_PATH = "/usr/local/bin:/usr/bin:/bin"


def main(channel_fd: int, limits: Limits) -> NoReturn:
    """Do what the server asks for and end. An empty job is a rehearsal."""
    own_process = os.getpid()
    with socket.socket(fileno=channel_fd) as channel:
        job = b"".join(iter(lambda: channel.recv(65536), b""))
        if limits.contained:
            system_calls.refuse_dangerous_calls()
        if not job:
            os._exit(0)
        kind, text = _do(json.loads(job), limits)
        if os.getpid() == own_process:
            _flush()
            # The server may have stopped reading: then nobody wants to know.
            channel.sendall(kind + text.encode("utf-8", "replace")[: limits.return_bytes])
    os._exit(0)


def _do(job: Job, limits: Limits) -> tuple[bytes, str]:
    # Loaded by the zygote; its files are out of sight here.
    signature = importlib.import_module(f"{__package__}.signature")
    rendering = importlib.import_module(f"{__package__}.rendering")
    try:
        _prepare(job)
        name, function = signature.find_function(job["code"], job["name"])
        if job["action"] == "describe":
            return SIGNATURE, json.dumps(signature.describe(name, function, schema_given=job["schema_given"]))
        value = signature.call(function, job["arguments"])
        return SUCCESS, rendering.text_of(value, limits.return_bytes)
    except signature.SourceInvalid as invalid:
        return INVALID, str(invalid)
    except signature.ArgumentsInvalid as invalid:
        return FAILURE, str(invalid)
    except BaseException as failure:  # noqa: BLE001 - a tool may raise what it likes
        return (INVALID if job["action"] == "describe" else FAILURE), rendering.traceback_of(failure)


def _prepare(job: Job) -> None:
    """Take on what a fresh process of the tool's own would have."""
    home = str(Path.cwd())
    os.environ.clear()
    os.environ |= {"PATH": _PATH, "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8"}
    os.environ |= job["environment"]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["tool.py"]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - open as long as the process
    sys.stdout = _open_output(1)
    sys.stderr = _open_output(2)


def _open_output(descriptor: int) -> TextIO:
    """Open it so that a line is seen as soon as it is written."""
    return open(descriptor, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # The tool has closed or replaced it.
