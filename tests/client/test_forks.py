"""A client in a child of the process that made it. Each test forks in a process of its own, which has few threads."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server_process import environment, serving_process

# What the child does is put in. The parent has a stream open meanwhile, which goes on.
PROGRAM = """
import json, os, sys
from letta_grpc.client import Client

target = sys.argv[1]
client = Client(target)
agent = client.agents.create(model="scripted/script")
unused = Client(target)
stream = client.stream(agent.id, json.dumps([[{"text": "one "}, {"delay_ms": 300}, {"text": "two"}]]))
next(stream)
child = os.fork()
if not child:
    try:
        {use}
        print("done", flush=True)
    except RuntimeError as error:
        print(error, flush=True)
    finally:
        os._exit(0)
os.waitpid(child, 0)
print(stream.text())
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_process(tmp_path_factory.mktemp("server")) as (target, _):
        yield target


@pytest.mark.parametrize(
    "use",
    [
        "client.agents.get(agent.id)",
        "list(client.agents.list())",
        "client.agents.delete(agent.id)",
        "client.stream(agent.id, 'hi').text()",
        "client.converse().start(agent.id, 'hi')",
    ],
)
def test_a_client_that_was_used_before_a_fork_says_so_and_the_parents_goes_on(server: str, tmp_path: Path, use: str) -> None:
    told, text = forked(server, tmp_path, use)
    assert "make another one after the fork" in told
    assert text == "one two"


def test_a_client_that_was_only_made_before_a_fork_works_in_the_child(server: str, tmp_path: Path) -> None:
    assert forked(server, tmp_path, "agent.id in [one.id for one in unused.agents.list()]") == ["done", "one two"]


def forked(server: str, folder: Path, use: str) -> list[str]:
    program = folder / "forking.py"
    program.write_text(PROGRAM.replace("{use}", use))
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, program, server], capture_output=True, text=True, check=True, timeout=30, env=environment()
    )
    return done.stdout.splitlines()
