"""How a call ended, and how that is said to a model."""

import json
import os
import signal
from dataclasses import dataclass
from enum import Enum
from typing import Any

from letta_grpc.adapters.sandbox.inside.limits import Limits
from letta_grpc.domain.errors import ToolSandboxUnavailable


class Stop(Enum):
    """Why the server ended a call itself."""

    TIMEOUT = "timeout"
    OUTPUT = "output"
    ANSWER = "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`answer` is the tool's own: untrusted. `report` is the supervisor's, empty if it is gone as well."""

    answer: bytes
    report: bytes
    stop: Stop | None

    @property
    def is_complete(self) -> bool:
        """Whether the tool's process gave its answer and ended by itself."""
        return self.stop is None and bool(self.answer) and _read(self.report).get("status") == 0 and not self.cause

    @property
    def cause(self) -> str:
        """What the tool was stopped for below the server, empty if it was not."""
        return str(_read(self.report).get("cause") or "")

    @property
    def never_began(self) -> bool:
        """Whether the cell could not be made, so that nothing of the tool has run."""
        return bool(_read(self.report).get("failed"))

    @property
    def failure(self) -> str:
        """Why there was no sandbox to run in, empty if there was one."""
        report = _read(self.report)
        if report.get("failed"):
            return str(report["failed"])
        return "" if report or self.stop else "the sandbox's own process ended"


def explain(ending: Ending, *, limits: Limits, timeout_seconds: float, output_bytes: int) -> str:
    """Say why there is no answer."""
    if ending.stop:
        does_too_much = {
            Stop.TIMEOUT: f"took longer than its timeout of {timeout_seconds:g} s",
            Stop.OUTPUT: f"wrote more than {output_bytes} bytes of output",
            Stop.ANSWER: f"wrote more than {limits.return_bytes} bytes in place of its answer",
        }
        return f"The tool {does_too_much[ending.stop]} and was stopped."
    if ending.cause == "memory":
        return f"The tool's processes together used more than {limits.memory_bytes} bytes of memory and were stopped."
    if ending.never_began:
        return f"{ToolSandboxUnavailable.reason}: {ending.failure}"
    if ending.failure:
        return f"The tool was stopped because {ending.failure}."
    return _explain_status(os.waitstatus_to_exitcode(int(_read(ending.report).get("status", 0))), limits)


def _explain_status(exit_code: int, limits: Limits) -> str:
    if exit_code == -signal.SIGXCPU:
        return f"The tool used more than {limits.cpu_seconds} s of CPU time and was stopped."
    if exit_code < 0:
        return f"The tool's process was killed by signal {-exit_code} ({_signal_name(-exit_code)}) before it returned."
    return f"The tool's process ended itself with exit code {exit_code} before it returned."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"


def _read(report: bytes) -> dict[str, Any]:
    try:
        value = json.loads(report)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
