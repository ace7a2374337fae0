"""A person who interrupts a cell of a notebook, or a script, loses nothing: iterating goes on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import environment, serving_process

# As Jupyter does it, from another thread, while the main one waits for an event.
PROGRAM = """
import json, sys, threading, _thread
from letta_grpc.client import Client, run_start

script = json.dumps([[{"repeat": 150, "text": "word ", "delay_ms": 10}]])
with Client(sys.argv[1]) as client:
    agent = client.agents.create(model="scripted/script")
    several = sys.argv[2] == "several"
    stream = client.stream_many([run_start(agent.id, script)]) if several else client.stream(agent.id, script)
    seen, interrupts, whole = [], 0, False
    while not whole:
        try:
            while True:
                event = next(stream)[1] if several else next(stream)
                seen.append(event.sequence_number)
                if event.sequence_number in (5, 15, 25, 40):
                    threading.Timer(0.004, _thread.interrupt_main).start()
        except StopIteration:
            whole = True
        except KeyboardInterrupt:
            interrupts += 1
    print(json.dumps([interrupts, seen]))
"""


@pytest.mark.parametrize("kind", ["one", "several"])
def test_reading_goes_on_after_an_interrupt(kind: str, tmp_path: Path) -> None:
    with serving_process(tmp_path) as (target, _):
        result = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", PROGRAM, target, kind],
            capture_output=True,
            text=True,
            check=False,
            timeout=50,
            env=environment(),
        )
    assert result.returncode == 0, result.stderr
    interrupts, seen = json.loads(result.stdout)
    assert interrupts > 0
    assert seen == list(range(1, len(seen) + 1))
