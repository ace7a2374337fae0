"""Kills the server ten times during one run of a client's conformance program: `chaos.py -- PROGRAM [ARGUMENTS]`.

Starts `letta-grpc serve` with a database in a file, gives the program one task, and at ten places of the run ends the server
with SIGKILL and starts it again, on the same port and file. Exits with 1 unless the program printed every event once, in
order, and the whole text.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from run import GRACE_SECONDS, KEY, differences, process, read_line

from letta_grpc.client import Client, RetryPolicy, Run

SERVE = (sys.executable, "-m", "letta_grpc", "serve", "--drain-seconds", "1")
# After how many more events each server dies: at once, within a message, behind one that was completed.
LIVES = (3, 9, 50, 1, 30, 5, 70, 12, 2, 40)
STEPS = 10
WORDS = 30
WORD_SECONDS = 0.015
START_SECONDS = 60.0
# From the last kill on, or from the start to the run's acceptance.
END_SECONDS = 120.0
# So many characters of either end of a difference are shown.
SHOWN = 300
# The server lives while the kit asks it: only the machine's load makes an answer late.
ASKING = RetryPolicy(initial_seconds=0.05, maximum_seconds=0.5, call_attempts=20)


def said(step: int) -> str:
    """Return what the agent says in a step: no two say the same."""
    return f"Step {step}: " + f"word{step} " * WORDS + "done."


def script() -> str:
    """Return what the scripted model is told to do: it speaks slowly, and begins each step but the last by a call."""
    turns: list[list[dict[str, Any]]] = []
    for step in range(STEPS):
        word = {"text": f"word{step} ", "repeat": WORDS, "delay_ms": WORD_SECONDS * 1000}
        turns.append([{"text": f"Step {step}: "}, word, {"text": "done."}])
        if step < STEPS - 1:
            note = {"label": "notes", "text": f"Step {step} is done."}
            turns[-1].append({"tool_call": {"name": "memory_insert", "arguments": note}})
    return json.dumps(turns)


class Victim:
    """A server that can be killed, and started again where it was."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._listen = "127.0.0.1:0"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """Start it, the second time and later on the port of the first; return its address."""
        own = ("--listen", self._listen, "--database", f"sqlite:///{self._folder / 'letta.db'}")
        foreign = ("LETTA_GRPC_", "OTEL_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [*SERVE, *own],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**environment, **self._environment},
            )
        line = read_line(self._process, START_SECONDS)
        if not line.startswith("listening grpc="):
            raise SystemExit(f"the server did not start:\n{(self._folder / 'server.log').read_text()}")
        self._listen = line.strip().removeprefix("listening grpc=")
        return self._listen

    def kill(self) -> None:
        """End it without a warning."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def victim(**environment: str) -> Iterator[Victim]:
    """Give a server that is not started yet; end it, whatever happened."""
    with tempfile.TemporaryDirectory() as folder:
        server = Victim(Path(folder), environment)
        try:
            yield server
        finally:
            server.kill()


def connect(target: str) -> Client:
    """Return a client of the kit's own, for one life of the server."""
    return Client(target, api_key=KEY, retry=ASKING)


def agent_of(target: str) -> str:
    """Make the agent that the program talks to."""
    with connect(target) as client:
        return client.agents.create(name="chaos", model="scripted/script", memory_blocks={"notes": ""}).id


def accepted_run(target: str, agent_id: str, program: "subprocess.Popen[str]") -> str:
    """Wait until the program has started a run; return its id."""
    limit = time.monotonic() + END_SECONDS
    with connect(target) as client:
        while program.poll() is None and time.monotonic() < limit:
            for run in client.runs.list(agent_id=agent_id):
                return run.id
            time.sleep(0.01)
    raise SystemExit("the program started no run")


def watch(target: str, run_id: str, events: int) -> None:
    """Follow the run until this server has added so many events to it."""
    with connect(target) as client:
        last = client.runs.get(run_id).last_sequence_number + events
        with client.attach(run_id, after=last - events) as stream:
            for event in stream:
                if event.HasField("run_finished"):
                    raise SystemExit("the run ended before the server had died often enough")
                if event.sequence_number >= last:
                    return


def expected(run: Run) -> dict[str, Any]:
    """Return what a right program prints."""
    return {
        "events": list(range(1, run.last_sequence_number + 1)),
        "text": "\n\n".join(map(said, range(STEPS))),
        "state": "COMPLETED",
        "error": None,
        "pending": [],
    }


def chaos(command: Sequence[str]) -> list[str]:
    """Run a program through it; return what differs."""
    with victim(LETTA_GRPC_API_KEYS=KEY) as server:
        target = server.start()
        agent_id = agent_of(target)
        task = {"case": agent_id, "do": "stream", "heartbeat_seconds": 1, "text": script(), "patient": True}
        with process([*command, target], GRACE_SECONDS) as program:
            assert program.stdin is not None
            program.stdin.write(json.dumps(task) + "\n")
            program.stdin.flush()
            run_id = accepted_run(target, agent_id, program)
            for events in LIVES:
                watch(target, run_id, events)
                server.kill()
                server.start()
            line = read_line(program, END_SECONDS)
        if not line.strip():
            return ["the program printed nothing and ended, or had to be ended"]
        with connect(target) as client:
            runs = list(client.runs.list(agent_id=agent_id))
            run = client.runs.get(run_id)
        happened = {"runs": len(runs), "servers that worked on the run": run.attempt}
        due = {"runs": 1, "servers that worked on the run": len(LIVES) + 1}
        return [*differences(expected(run), json.loads(line)), *differences(due, happened)]


def shortened(difference: str) -> str:
    """Return both ends of what may be many pages long."""
    return difference if len(difference) <= 2 * SHOWN else f"{difference[:SHOWN]} … {difference[-SHOWN:]}"


def main() -> int:
    """Run, and say what differs."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("command", nargs="+")
    found = chaos(arguments.parse_args().command)
    print(
        "\n".join(map(shortened, found))
        if found
        else f"the server died {len(LIVES)} times, and not an event was lost or doubled"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
