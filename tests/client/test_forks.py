"""A client in a child of the process that made it. Each test forks in a process of its own, which has few threads."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server_process import environment

# What the child does is put in.
WITH_NO_CALL_OPEN = """
import sys
from letta_grpc.client import Client
from tests.support.forking import in_a_child

target = sys.argv[1]
used, unused = Client(target), Client(target)
agent = used.agents.create(model="scripted/script")
used.stream(agent.id, '[[{"text": "hi"}]]').text()
in_a_child(lambda: {use})
print(used.agents.get(agent.id).id == agent.id)
"""

AMID_A_STREAM = """
import json, sys
from letta_grpc.client import Client
from tests.support.forking import in_a_child

target = sys.argv[1]
client = Client(target)
agent = client.agents.create(model="scripted/script")
stream = client.stream(agent.id, json.dumps([[{"text": "one "}, {"delay_ms": 300}, {"text": "two"}]]))
next(stream)
in_a_child(lambda: {use})
print(stream.text())
in_a_child(lambda: Client(target).agents.get(agent.id).id == agent.id)
"""

AMID_A_STREAM_OF_ASYNCIO = """
import asyncio, json, sys
from letta_grpc.client import AsyncClient, Client
from tests.support.forking import in_a_child

async def main(target):
    client = AsyncClient(target)
    agent = await client.agents.create(model="scripted/script")
    stream = client.stream(agent.id, json.dumps([[{"text": "one "}, {"delay_ms": 300}, {"text": "two"}]]))
    await anext(stream)
    in_a_child(lambda: {use})
    print(await stream.text())

asyncio.run(main(sys.argv[1]))
"""

AMID_A_CALL_OF_ANOTHER_THREAD = """
import json, sys, time
from threading import Thread
from letta_grpc.client import Client
from tests.support.forking import in_a_child

target = sys.argv[1]
client = Client(target)
agent = client.agents.create(model="scripted/script")
script = json.dumps([[{"wait_for_cancel": True}]])
other = Thread(target=lambda: print(client.runs.execute(agent.id, script).run.agent_id == agent.id))
other.start()
while not (runs := list(client.runs.list(agent_id=agent.id))):
    time.sleep(0.01)
in_a_child(lambda: {use})
client.runs.cancel(runs[0].id)
other.join()
in_a_child(lambda: Client(target).agents.get(agent.id).id == agent.id)
"""


@pytest.mark.parametrize(
    "use",
    [
        "used.agents.get(agent.id)",
        "list(used.agents.list())",
        "used.agents.delete('agent-none')",
        "used.stream(agent.id, 'hi').text()",
        "used.converse().start(agent.id, 'hi')",
    ],
)
def test_a_client_that_was_used_before_a_fork_says_so_and_the_parents_goes_on(server: str, tmp_path: Path, use: str) -> None:
    told, later = forked(server, tmp_path, WITH_NO_CALL_OPEN, use)
    assert "make another one after the fork" in told
    assert later == "True"


@pytest.mark.parametrize("client", ["unused", "Client(target)"])
def test_a_client_that_was_not_used_before_a_fork_works_in_the_child(server: str, tmp_path: Path, client: str) -> None:
    use = f"agent.id in [one.id for one in {client}.agents.list()]"
    assert forked(server, tmp_path, WITH_NO_CALL_OPEN, use) == ["True", "True"]


@pytest.mark.parametrize(
    ("program", "answer"),
    [(AMID_A_STREAM, "one two"), (AMID_A_CALL_OF_ANOTHER_THREAD, "True")],
    ids=["stream", "call"],
)
@pytest.mark.parametrize("client", ["client", "Client(target)"])
def test_no_client_works_in_a_child_that_was_forked_amid_a_call(
    server: str, tmp_path: Path, program: str, answer: str, client: str
) -> None:
    told, text, later = forked(server, tmp_path, program, f"{client}.agents.get(agent.id)")
    # Left to itself, grpc's core ends one such child in thirty by a signal.
    assert "forked while a call was open" in told
    assert text == answer
    # And in one that is forked when the call is over a client works.
    assert later == "True"


def test_a_client_is_closed_in_a_child_that_was_forked_amid_a_call(server: str, tmp_path: Path) -> None:
    # As at the end of a `with`. Left to itself, grpc waits there for threads that are the parent's.
    assert forked(server, tmp_path, AMID_A_STREAM, "client.close()") == ["None", "one two", "True"]


def test_no_client_works_in_a_child_that_was_forked_amid_a_call_of_asyncio(server: str, tmp_path: Path) -> None:
    # With grpc's own handlers of forks one such child in five ends before it returns from the fork.
    use = "Client(target).agents.get(agent.id)"
    told, text = forked(server, tmp_path, AMID_A_STREAM_OF_ASYNCIO, use, GRPC_ENABLE_FORK_SUPPORT="0")
    assert "forked while a call was open" in told
    assert text == "one two"


def forked(server: str, folder: Path, program: str, use: str, **more: str) -> list[str]:
    source = folder / "forking.py"
    source.write_text(program.replace("{use}", use))
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, source, server], stdout=subprocess.PIPE, text=True, check=True, timeout=30, env=environment(**more)
    )
    return done.stdout.splitlines()
