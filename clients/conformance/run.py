"""Runs a client's conformance program over all cases: `run.py [--only CASE …] -- PROGRAM [ARGUMENTS]`.

Starts `letta-grpc conformance serve`, starts `PROGRAM ARGUMENTS TARGET`, gives it one task after the other and compares what
it prints, and what the server saw of it, with cases.json. Exits with 1 if anything differs.
"""

import argparse
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from letta_grpc.client import Client

CASES = Path(__file__).with_name("cases.json")
KEY = "conformance-key"
SERVE = (sys.executable, "-m", "letta_grpc", "conformance", "serve")
# No case takes a right client half as long.
CASE_SECONDS = 30.0
# It may have started something itself that it has to end.
GRACE_SECONDS = 10.0

Case = dict[str, Any]


@contextmanager
def process(command: Sequence[str], grace_seconds: float = 0) -> Iterator[subprocess.Popen[str]]:
    """Start a program with pipes; end it, after it has had some time to end by itself because there is no more to read."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as started:  # noqa: S603 - the caller's program
        try:
            yield started
        finally:
            with suppress(subprocess.TimeoutExpired, BrokenPipeError):
                if started.stdin and grace_seconds:
                    started.stdin.close()
                    started.wait(grace_seconds)
            started.kill()


@contextmanager
def serving() -> Iterator[str]:
    """Serve the cases; give the target."""
    with process(SERVE) as server:
        yield read_line(server).rpartition("=")[2].strip()


def read_line(source: "subprocess.Popen[str]", seconds: float = CASE_SECONDS) -> str:
    """Return a program's next line; a program that says nothing is killed."""
    assert source.stdout is not None
    watchdog = threading.Timer(seconds, source.kill)
    watchdog.start()
    try:
        return source.stdout.readline()
    finally:
        watchdog.cancel()


def perform(program: "subprocess.Popen[str]", task: dict[str, Any]) -> dict[str, Any]:
    """Give a program one task; return what it prints."""
    assert program.stdin is not None
    try:
        program.stdin.write(json.dumps(task) + "\n")
        program.stdin.flush()
    except BrokenPipeError:
        return {}
    line = read_line(program)
    return dict(json.loads(line)) if line.strip() else {}


def differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """Say what differs."""
    return [
        f"{name}: expected {json.dumps(value, ensure_ascii=False)}, got {json.dumps(actual.get(name), ensure_ascii=False)}"
        for name, value in expected.items()
        if name not in actual or actual[name] != value
    ]


def failures(command: Sequence[str], cases: Sequence[Case]) -> dict[str, list[str]]:
    """Run a program over cases; return what differs, by case."""
    found: dict[str, list[str]] = {}
    with serving() as target, Client(target, api_key=KEY) as server, process([*command, target], GRACE_SECONDS) as program:
        for case in cases:
            printed = perform(program, case["task"])
            if not printed:
                found[case["name"]] = ["the program printed nothing and ended, or had to be ended"]
                break
            seen = json.loads(server.runs.get(f"seen/{case['name']}").metadata["seen"])
            if different := [*differences(case["printed"], printed), *differences(case["seen"], seen)]:
                found[case["name"]] = different
    return found


def load(only: Sequence[str] = ()) -> list[Case]:
    """Return the cases, or those with these names."""
    cases: list[Case] = json.loads(CASES.read_text(encoding="utf-8"))
    return [case for case in cases if not only or case["name"] in only]


def main() -> int:
    """Run, and say what differs."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", action="append", default=[], metavar="CASE")
    arguments.add_argument("command", nargs="+")
    given = arguments.parse_args()
    cases = load(given.only)
    found = failures(given.command, cases)
    for name, lines in found.items():
        print(f"{name}\n" + "\n".join(f"  {line}" for line in lines))
    print(f"{len(cases) - len(found)} of {len(cases)} cases are right")
    return 1 if found or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
