"""What is left when a call, the warm process, the sandbox or the server ends: nothing."""

import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.sandbox.inside import cell
from letta_grpc.adapters.sandbox.inside.limits import Limits
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import OutputStream, PythonSource
from letta_grpc.ports.sandbox import SandboxCall
from letta_grpc.testing.sandboxes import ADD, PATIENCE_SECONDS, run, value_of

ENDLESS = "import time\ndef tool():\n    print('begun')\n    time.sleep(1000)\n"
# Serves one endless call and prints the process ids below it once the tool has begun.
SERVER = f"""
import asyncio, psutil
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.domain.tools import PythonSource
from letta_grpc.ports.sandbox import SandboxCall

def tell(stream, text):
    print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)

call = SandboxCall(source=PythonSource(code={ENDLESS!r}), name="tool", arguments="{{}}")
asyncio.run(NamespaceSandbox().run(call, tell))
"""
# Ends as by kill -9 as soon as the warm process has begun to start.
SHORT_LIVED_SERVER = """
import asyncio, os, psutil, signal
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.testing.sandboxes import ADD, run

async def end():
    while not psutil.Process().children():
        await asyncio.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(end())
        group.create_task(run(NamespaceSandbox(), ADD, "{}", "add"))

asyncio.run(main())
"""
# Refuses namespaces to itself first, as many machines do.
WITHOUT_NAMESPACES = """
import asyncio, sys
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.sandbox.inside import filter, kernel
from letta_grpc.domain.errors import ToolSandboxUnavailable
from letta_grpc.testing.sandboxes import ADD, run

async def main():
    sandbox = NamespaceSandbox(allow_uncontained=sys.argv[1] == "allowed")
    result = await run(sandbox, ADD, '{"left": 1}', "add")
    print(sandbox.unavailable(), result.status.name, result.text, sep="\\n")
    try:
        print((await sandbox.describe(ADD)).name)
    except ToolSandboxUnavailable as unavailable:
        print(unavailable.reason)
    await sandbox.aclose()

kernel.give_up_privileges()
filter.refuse_dangerous_calls()
asyncio.run(main())
"""
WITH_FEW_FILES = """
import resource
from letta_grpc.adapters.sandbox.inside.limits import Limits
from letta_grpc.adapters.sandbox.warm_process import probe

resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print(probe(Limits()))
"""
WITH_LITTLE_TIME = """
import asyncio, resource
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.testing.sandboxes import run

async def main():
    sandbox = NamespaceSandbox()
    print(sandbox.unavailable())
    source = "import resource\\ndef tool():\\n    return resource.getrlimit(resource.RLIMIT_CPU)"
    print((await run(sandbox, source)).text)
    await sandbox.aclose()

resource.setrlimit(resource.RLIMIT_CPU, (50, 50))
asyncio.run(main())
"""
# Gives up what a server that is not root has never had: the power to become somebody else.
WITHOUT_OTHER_USERS = """
import asyncio, os
from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.sandbox.inside import kernel
from letta_grpc.testing.sandboxes import run

async def main():
    sandbox = NamespaceSandbox()
    result = await run(sandbox, "import os\\ndef tool():\\n    return os.listdir('/etc'), os.getuid()")
    print(result.text)
    await sandbox.aclose()

for capability in (6, 7) if os.geteuid() == 0 else ():
    kernel.prctl(24, capability)
asyncio.run(main())
"""


@pytest.fixture
async def sandbox() -> AsyncIterator[NamespaceSandbox]:
    sandbox = NamespaceSandbox()
    yield sandbox
    await sandbox.aclose()


async def run_until_begun(sandbox: NamespaceSandbox, group: asyncio.TaskGroup) -> asyncio.Task[object]:
    begun = asyncio.Event()

    def look(_stream: OutputStream, _text: str) -> None:
        begun.set()

    call = SandboxCall(source=PythonSource(code=ENDLESS), name="tool", arguments="{}")
    task: asyncio.Task[object] = group.create_task(sandbox.run(call, look))
    await begun.wait()
    return task


def below(process: int) -> list[psutil.Process]:
    return psutil.Process(process).children(recursive=True)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@contextmanager
def files_left(spare: int) -> Iterator[None]:
    """Let this process open so many files more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 32, hard))
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_calls_leave_no_process_and_no_descriptor(sandbox: NamespaceSandbox) -> None:
    await value_of(sandbox, ADD, '{"left": 1}', "add")
    assert sandbox.process_id
    before = descriptors()
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(run(sandbox, ADD, '{"left": 1}', "add"))
            group.create_task(run(sandbox, ENDLESS, timeout_seconds=0.3))
    assert descriptors() == before
    # What is left is the zygote; a supervisor that has reported may still be on its way out.
    supervisors = below(sandbox.process_id)[1:]
    _, alive = await asyncio.to_thread(psutil.wait_procs, supervisors, timeout=5)
    assert not alive


async def test_a_cancelled_call_is_gone_before_the_cancellation_goes_on(sandbox: NamespaceSandbox) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        task = await run_until_begun(sandbox, group)
        assert sandbox.process_id
        zygote, supervisor, *cell = below(sandbox.process_id)
        assert len(cell) == 2
        for _ in range(3):
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert zygote.is_running()
        assert not any(process.is_running() for process in cell)
        await asyncio.to_thread(supervisor.wait, 5)


async def test_the_loss_of_the_warm_process_is_an_error_and_the_next_call_has_a_new_one(sandbox: NamespaceSandbox) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        task = await run_until_begun(sandbox, group)
        lost = sandbox.process_id
        assert lost
        processes = below(lost)
        os.kill(lost, signal.SIGKILL)
        result = await task
    assert getattr(result, "status", None) is ToolReturnStatus.ERROR
    assert "own process ended" in getattr(result, "text", "")
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, timeout=5)
    assert not alive
    assert await value_of(sandbox, ADD, '{"left": 1}', "add") == "3"
    assert sandbox.process_id != lost


async def test_a_fork_that_fails_is_an_error_of_its_call_alone(sandbox: NamespaceSandbox) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        task = await run_until_begun(sandbox, group)
        assert sandbox.process_id
        zygote = below(sandbox.process_id)[0]
        _, most = zygote.rlimit(psutil.RLIMIT_NPROC)
        zygote.rlimit(psutil.RLIMIT_NPROC, (0, most))
        before = descriptors()
        result = await run(sandbox, ADD, '{"left": 1}', "add")
        assert (result.status, result.text.partition(":")[0]) == (ToolReturnStatus.ERROR, "TOOL_SANDBOX_UNAVAILABLE")
        assert descriptors() == before
        zygote.rlimit(psutil.RLIMIT_NPROC, (most, most))
        assert await value_of(sandbox, ADD, '{"left": 1}', "add") == "3"
        assert not task.done()
        task.cancel()


async def test_a_call_for_which_too_few_files_may_be_open_leaves_none(sandbox: NamespaceSandbox) -> None:
    await value_of(sandbox, ADD, '{"left": 1}', "add")
    before = descriptors()
    for spare in range(8):
        with files_left(spare):
            result = await run(sandbox, ADD, '{"left": 1}', "add")
            assert (result.status, result.text.partition(":")[0]) == (ToolReturnStatus.ERROR, "TOOL_SANDBOX_UNAVAILABLE")
        assert descriptors() == before
    assert await value_of(sandbox, ADD, '{"left": 1}', "add") == "3"


async def test_a_warm_process_for_which_too_few_files_may_be_open_is_told_and_started_later(sandbox: NamespaceSandbox) -> None:
    before = descriptors()
    for spare in range(8, 12):
        with files_left(spare):
            result = await run(sandbox, ADD, '{"left": 1}', "add")
            assert (result.status, result.text.partition(":")[0]) == (ToolReturnStatus.ERROR, "TOOL_SANDBOX_UNAVAILABLE")
        assert descriptors() == before
    assert await value_of(sandbox, ADD, '{"left": 1}', "add") == "3"


async def test_a_start_that_fails_for_want_of_files_is_no_reason_to_run_tools_uncontained() -> None:
    sandbox = NamespaceSandbox(allow_uncontained=True)
    for spare in range(8, 12):
        with files_left(spare):
            assert (await run(sandbox, ADD, '{"left": 1}', "add")).status is ToolReturnStatus.ERROR
    warden = await value_of(sandbox, "import os\ndef tool():\n    return os.getppid()")
    await sandbox.aclose()
    assert warden == "1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
async def test_a_terminal_that_says_something_says_it_to_the_server_alone(sandbox: NamespaceSandbox, number: int) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        task = await run_until_begun(sandbox, group)
        assert sandbox.process_id
        # A terminal's signals go to the server's own group: the cells are not in it.
        for process in (psutil.Process(sandbox.process_id), *below(sandbox.process_id)[:2]):
            process.send_signal(number)
        assert await value_of(sandbox, ADD, '{"left": 1}', "add") == "3"
        assert not task.done()
        task.cancel()


async def test_a_closed_sandbox_has_ended_its_calls_and_starts_again_when_used(sandbox: NamespaceSandbox) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        task = await run_until_begun(sandbox, group)
        await sandbox.aclose()
        await task
    assert sandbox.process_id is None
    assert await value_of(sandbox, ADD, '{"left": 1}', "add") == "3"


def test_everything_ends_with_a_server_that_is_killed() -> None:
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - ourselves
        assert server.stdout
        below_it = [psutil.Process(int(word)) for word in server.stdout.readline().split()]
        assert len(below_it) == 5
        server.kill()
        _, alive = psutil.wait_procs(below_it, timeout=10)
    assert not alive


def test_a_warm_process_that_finds_its_server_killed_ends_without_a_word() -> None:
    command = [sys.executable, "-c", SHORT_LIVED_SERVER]
    # The warm process has the same stderr: this waits for its end, too.
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_SECONDS, check=False)  # noqa: S603 - ourselves
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")


def test_tools_are_contained_here() -> None:
    assert NamespaceSandbox().unavailable() is None


@pytest.mark.parametrize(
    ("setting", "status", "text", "described"),
    [("refused", "ERROR", "TOOL_SANDBOX_UNAVAILABLE", "TOOL_SANDBOX_UNAVAILABLE"), ("allowed", "SUCCESS", "3", "add")],
)
def test_without_namespaces_tools_run_only_where_that_is_allowed(setting: str, status: str, text: str, described: str) -> None:
    command = [sys.executable, "-c", WITHOUT_NAMESPACES, setting]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)  # noqa: S603 - ourselves
    reason, *said = done.stdout.splitlines()
    assert "unshare" in reason
    # Logged as everything is, to stderr: scripts read the other one.
    assert ("tools run uncontained" in done.stderr) == (setting == "allowed")
    assert said[0] == status
    assert said[1].startswith(text)
    assert said[2] == described


def test_a_server_that_cannot_become_nobody_contains_tools_all_the_same() -> None:
    command = [sys.executable, "-c", WITHOUT_OTHER_USERS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)  # noqa: S603 - ourselves
    entries, user = json.loads(done.stdout)
    assert user == 1000
    assert "passwd" in entries
    assert "shadow" not in entries


def test_a_server_that_may_have_few_files_open_runs_tools_all_the_same() -> None:
    command = [sys.executable, "-c", WITH_FEW_FILES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)  # noqa: S603 - ourselves
    assert done.stdout.strip() == "None"


def test_a_server_that_may_compute_less_than_a_tool_lets_tools_compute_as_long_as_itself() -> None:
    command = [sys.executable, "-c", WITH_LITTLE_TIME]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)  # noqa: S603 - ourselves
    assert done.stdout.splitlines() == ["None", "[49,50]"]


def test_an_uncontained_call_that_gets_no_folder_of_its_own_removes_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> str:
        raise OSError("no room")

    kept = tmp_path / "kept"
    kept.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert cell.rehearse(cell.Setup(limits=Limits(contained=False))) == "OSError: no room"
    assert kept.exists()
