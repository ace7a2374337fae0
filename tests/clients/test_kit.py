"""The kit itself: it knows every reason of the contract, its description is fresh, and it finds a client that is wrong."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from letta_grpc.conformance import CASES, text_of
from letta_grpc.conformance.refusals import FATAL, OF_RUNS, PASSING
from letta_grpc.domain import errors
from letta_grpc.transport.errors import STATUSES
from letta_grpc.v1 import errors_pb2

ROOT = Path(__file__).parents[2]
RUN = ROOT / "clients/conformance/run.py"
CHAOS = ROOT / "clients/conformance/chaos.py"
PYTHON = (sys.executable, str(ROOT / "clients/python/conformance.py"))


def conform(*program: str, only: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    chosen = [f"--only={name}" for name in only]
    return subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, RUN, *chosen, "--", *program], capture_output=True, text=True, check=False, timeout=100
    )


def test_the_description_is_what_the_server_plays() -> None:
    assert (ROOT / "clients/conformance/cases.json").read_text() == text_of(CASES), (
        "run: letta-grpc conformance cases > clients/conformance/cases.json"
    )


def test_no_two_cases_have_the_same_name() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_every_reason_of_the_contract_has_a_case() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in errors_pb2.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - an enum of protobuf's is no mapping
    assert {*FATAL, *PASSING, *OF_RUNS} == reasons


def test_the_codes_are_those_of_the_real_server() -> None:
    real = {error.reason: ends.code for error, ends in STATUSES.items() if not issubclass(error, errors.RunFailure)}
    for reason, meaning in {**FATAL, **PASSING}.items():
        assert meaning.code is real[reason], reason


@pytest.mark.timeout(120)
def test_the_python_client_conforms() -> None:
    result = conform(*PYTHON)
    assert result.returncode == 0, result.stdout


def survive(*program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own programs
        [sys.executable, CHAOS, "--", *program], capture_output=True, text=True, check=False, timeout=300
    )


WRONG_NUMBERS = """
import json, sys
for line in sys.stdin:
    print(json.dumps({"events": [1, 2], "text": "", "state": None, "error": None, "pending": []}), flush=True)
"""


def test_a_program_that_prints_something_else_is_found() -> None:
    # It never called the server either, which therefore has nothing to tell of the case.
    result = conform(sys.executable, "-c", WRONG_NUMBERS, only=["whole"])
    assert result.returncode == 1


def test_a_program_that_ends_early_is_found() -> None:
    result = conform(sys.executable, "-c", "", only=["whole"])
    assert result.returncode == 1
    assert "0 of 1 cases are right" in result.stdout


def test_a_client_that_attaches_too_far_back_is_found(tmp_path: Path) -> None:
    """The events that it prints are right all the same: the server tells what it was asked for."""
    (tmp_path / "sitecustomize.py").write_text(
        "from letta_grpc.client._async import stream\n"
        "def attach(self):\n"
        "    return stream.Attach(run_id=self._run_id, after_sequence_number=0, options=self._request.options)\n"
        "stream.AsyncRunStream._attach_request = attach\n"
    )
    program = ("env", f"PYTHONPATH={tmp_path}", *PYTHON)
    result = conform(*program, only=["cut_once"])
    assert result.returncode == 1
    assert "attached_after: expected [4], got [0]" in result.stdout


@pytest.mark.timeout(320)
def test_a_client_that_hands_events_on_twice_is_found_when_servers_die(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "from letta_grpc.client._async import stream\n"
        "from letta_grpc.client.cursor import Cursor\n"
        "def attach(self):\n"
        "    after = max(0, self._cursor.position - 1)\n"
        "    return stream.Attach(run_id=self._run_id, after_sequence_number=after, options=self._request.options)\n"
        "def accept(self, events):\n"
        "    for event in events:\n"
        "        self.position = event.sequence_number\n"
        "        self.finished = event.HasField('run_finished')\n"
        "        if not event.HasField('heartbeat'):\n"
        "            yield event\n"
        "stream.AsyncRunStream._attach_request = attach\n"
        "Cursor.accept = accept\n"
    )
    result = survive("env", f"PYTHONPATH={tmp_path}", *PYTHON)
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("events: expected [1, 2, 3,")


@pytest.mark.timeout(320)
def test_a_program_that_starts_no_run_is_found_when_servers_die() -> None:
    result = survive(sys.executable, "-c", "")
    assert result.returncode == 1
    assert "the program started no run" in result.stderr
