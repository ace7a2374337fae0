"""Tools that mean harm: each is contained and reported, and the next call works."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from letta_grpc.adapters.sandbox import NamespaceSandbox
from letta_grpc.adapters.sandbox.inside.root import own_folder
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.ports.tools import ToolResult
from letta_grpc.testing.sandboxes import ADD, run, value_of

MIB = 1024 * 1024
MEMORY = 128 * MIB
OUTPUT = 64 * 1024

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[NamespaceSandbox]:
    sandbox = NamespaceSandbox(
        memory_bytes=MEMORY,
        temp_bytes=8 * MIB,
        file_bytes=4 * MIB,
        max_processes=8,
        max_open_files=32,
        cpu_seconds=1,
        output_bytes=OUTPUT,
        return_bytes=1000,
        allow_network=True,
    )
    yield sandbox
    await sandbox.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def sandbox(shared: NamespaceSandbox) -> AsyncIterator[NamespaceSandbox]:
    """The sandbox, which must work as before when the test is over."""
    assert await value_of(shared, ADD, '{"left": 40}', "add") == "42"
    before = shared.process_id
    yield shared
    assert await value_of(shared, ADD, '{"left": 40}', "add") == "42"
    assert shared.process_id == before


def tool(body: str, imports: str = "import os, signal, socket, subprocess, sys, time") -> str:
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    return f"{imports}\n\ndef tool():\n{lines}\n"


async def run_badly(sandbox: NamespaceSandbox, body: str, seconds: float = 10) -> ToolResult:
    result = await run(sandbox, tool(body), timeout_seconds=seconds)
    assert result.status is ToolReturnStatus.ERROR, result.text
    return result


async def test_a_fork_bomb_meets_the_limit_on_processes(sandbox: NamespaceSandbox) -> None:
    result = await run_badly(sandbox, "while True:\n    os.fork()")
    assert "BlockingIOError" in result.text


async def test_a_fork_bomb_that_ignores_the_limit_ends_with_its_timeout(sandbox: NamespaceSandbox) -> None:
    body = "while True:\n    try:\n        os.fork()\n    except OSError:\n        time.sleep(0.01)"
    assert "timeout" in (await run_badly(sandbox, body, seconds=0.7)).text


async def test_memory_beyond_the_limit_is_refused(sandbox: NamespaceSandbox) -> None:
    assert "MemoryError" in (await run_badly(sandbox, f"hog = bytearray({MEMORY})")).text


async def test_processes_that_share_the_work_of_eating_memory_are_stopped(sandbox: NamespaceSandbox) -> None:
    body = f"""
for _ in range(4):
    if os.fork() == 0:
        hog = bytearray({MEMORY // 2})
        time.sleep(1000)
time.sleep(1000)"""
    assert f"more than {MEMORY} bytes of memory" in (await run_badly(sandbox, body)).text


@pytest.mark.parametrize("descriptor", [1, 2])
async def test_endless_output_is_cut_and_stopped(sandbox: NamespaceSandbox, descriptor: int) -> None:
    result = await run_badly(sandbox, f"while True:\n    os.write({descriptor}, b'x' * 1000 + b'\\n')")
    assert f"more than {OUTPUT} bytes of output" in result.text
    assert sum(len(line) + 1 for line in result.stdout + result.stderr) <= OUTPUT + 1


async def test_an_endless_forged_answer_is_stopped(sandbox: NamespaceSandbox) -> None:
    result = await run_badly(sandbox, "while True:\n    os.write(3, b'x' * 100_000)")
    assert "more than 1000 bytes in place of its answer" in result.text


async def test_an_endless_return_is_cut(sandbox: NamespaceSandbox) -> None:
    text = await value_of(sandbox, tool("return 'ü' * 1_000_000"))
    assert len(text.encode()) <= 1000
    assert text.endswith("[cut: the tool returned 1000000 characters]")


async def test_busy_waiting_meets_the_limit_on_cpu_time(sandbox: NamespaceSandbox) -> None:
    assert "1 s of CPU time" in (await run_badly(sandbox, "while True:\n    pass", seconds=20)).text


async def test_a_huge_file_is_refused(sandbox: NamespaceSandbox) -> None:
    body = "with open('huge', 'wb', buffering=0) as file:\n    while file.write(b'x' * 100_000):\n        pass"
    assert "File too large" in (await run_badly(sandbox, body)).text


async def test_many_files_meet_the_size_of_the_folder(sandbox: NamespaceSandbox) -> None:
    body = "for number in range(100):\n    with open(str(number), 'wb') as file:\n        file.write(b'x' * 1_000_000)"
    assert "No space left" in (await run_badly(sandbox, body)).text


async def test_open_files_are_counted(sandbox: NamespaceSandbox) -> None:
    assert "Too many open files" in (await run_badly(sandbox, "kept = [open('/dev/null') for _ in range(100)]")).text


async def test_the_servers_files_are_not_there(sandbox: NamespaceSandbox, tmp_path: Path) -> None:
    database = tmp_path / "agents.db"
    database.write_text("secret")
    for path in (database, Path(__file__), Path(__file__).parents[2] / "pyproject.toml", Path("/etc/shadow")):
        assert path.exists()
        assert "FileNotFoundError" in (await run_badly(sandbox, f"open({str(path)!r}).read()")).text
    users = await value_of(sandbox, tool("return open('/etc/passwd').read()"))
    assert users.count("\n") == 1
    assert users.startswith("tool:")


async def test_nothing_outside_of_the_own_folder_can_be_written(sandbox: NamespaceSandbox) -> None:
    body = """
mounts = [line.split()[4] for line in open('/proc/self/mountinfo')]
folders = {*mounts, '/etc', '/usr', '/dev', sys.prefix, os.path.dirname(os.__file__)}
return sorted(folder for folder in folders if os.path.isdir(folder) and os.access(folder, os.W_OK))"""
    # /tmp, unless this interpreter is there.
    assert json.loads(await value_of(sandbox, tool(body))) == [own_folder()]


async def test_no_environment_and_no_process_of_the_servers_can_be_seen(sandbox: NamespaceSandbox) -> None:
    os.environ["OF_THE_SERVER"] = "leaked-into-the-sandbox"
    body = """
seen = {}
for name in os.listdir('/proc'):
    if name.isdecimal():
        try:
            seen[name] = open(f'/proc/{name}/environ').read()
        except OSError:
            seen[name] = None
return seen"""
    try:
        seen = json.loads(await value_of(sandbox, tool(body)))
    finally:
        del os.environ["OF_THE_SERVER"]
    assert len(seen) == 2
    assert seen["1"] is None
    assert "leaked" not in str(seen)


async def test_no_socket_reaches_anything(sandbox: NamespaceSandbox) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        address = listener.getsockname()
        result = await run_badly(sandbox, f"socket.create_connection({address!r}, timeout=5)")
        assert "Network is unreachable" in result.text
        allowed = tool(f"socket.create_connection({address!r}, timeout=5)\nreturn 'reached'")
        assert await value_of(sandbox, allowed, allow_network=True) == "reached"


async def test_no_socket_opens_of_a_family_that_network_namespaces_do_not_part(sandbox: NamespaceSandbox) -> None:
    """Such as AF_VSOCK, by which one would speak with the machine's host; nor any whose code is there for attacks alone."""
    body = """
opened = []
for family in range(64):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
        for make in (socket.socket, socket.socketpair):
            try:
                make(family, kind)
                opened.append(family)
            except OSError:
                pass
return sorted({*opened} - {socket.AF_INET6})"""
    assert json.loads(await value_of(sandbox, tool(body))) == sorted([socket.AF_UNIX, socket.AF_INET, socket.AF_NETLINK])


async def test_a_tool_that_asks_for_network_in_vain_runs_without_it_and_says_so_where_it_fails() -> None:
    sandbox = NamespaceSandbox()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        body = tool(f"socket.create_connection({listener.getsockname()!r}, timeout=5)")
        told, untold = [await run(sandbox, body, allow_network=asks) for asks in (True, False)]
    assert (told.status, untold.status) == (ToolReturnStatus.ERROR, ToolReturnStatus.ERROR)
    assert "Network is unreachable" in told.text
    assert "LETTA_GRPC_TOOL_NETWORK=true" in told.text
    assert "LETTA_GRPC_TOOL_NETWORK" not in untold.text
    assert await value_of(sandbox, ADD, '{"left": 40}', "add", allow_network=True) == "42"
    await sandbox.aclose()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("os._exit(7)", "exit code 7"),
        ("os._exit(0)", "exit code 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
        ("os.abort()", "SIGABRT"),
    ],
)
async def test_a_hard_exit_is_reported(sandbox: NamespaceSandbox, body: str, said: str) -> None:
    assert said in (await run_badly(sandbox, body)).text


async def test_signals_that_are_ignored_do_not_delay_the_end(sandbox: NamespaceSandbox) -> None:
    body = """
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
while True:
    try:
        time.sleep(1000)
    except BaseException:
        pass"""
    assert "timeout" in (await run_badly(sandbox, body, seconds=0.5)).text


async def test_a_daemon_ends_with_the_call_that_started_it(sandbox: NamespaceSandbox) -> None:
    """It holds the writing end of a connection to this test for as long as it lives."""
    async with asyncio.timeout(20):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003 - positional only
            body = f"""
held = socket.create_connection({listener.getsockname()!r})
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for descriptor in (0, 1, 2, 3):
            os.close(descriptor)
        time.sleep(1000)
    os._exit(0)
return 'started'"""
            assert await value_of(sandbox, tool(body), allow_network=True) == "started"
            loop = asyncio.get_running_loop()
            daemon, _ = await loop.sock_accept(listener)
            with daemon:
                assert await loop.sock_recv(daemon, 1) == b""


@pytest.mark.parametrize("target", ["1", "os.getppid()", "0"])
async def test_stopping_what_guards_it_does_not_let_a_tool_outlive_its_timeout(sandbox: NamespaceSandbox, target: str) -> None:
    body = f"os.kill({target}, signal.SIGSTOP)\ntime.sleep(1000)"
    assert "timeout" in (await run_badly(sandbox, body, seconds=0.5)).text


async def test_closing_every_descriptor_is_an_error(sandbox: NamespaceSandbox) -> None:
    assert "before it returned" in (await run_badly(sandbox, "os.closerange(0, 1000)")).text


async def test_forged_answers_are_the_tools_own_and_nobody_elses(sandbox: NamespaceSandbox) -> None:
    """A tool may say what it likes of itself: it is text, and not longer than any."""
    text = "x" * 1000
    assert await value_of(sandbox, tool(f"os.write(3, b's' + {text!r}.encode())\nos._exit(0)")) == text
    longer = await run_badly(sandbox, f"os.write(3, b's' + 5 * {text!r}.encode())\nos._exit(0)")
    assert "more than 1000 bytes" in longer.text
    for junk in (b"\xff\xfe\x00", b"d{}", b'{"status": 0}'):
        await run_badly(sandbox, f"os.write(3, {junk!r})\nos._exit(0)")


async def test_namespaces_tracing_and_mounts_are_refused(sandbox: NamespaceSandbox) -> None:
    body = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
done = {
    'unshare': libc.unshare(0x10000000),
    'mount': libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, None),
    'umount': libc.umount2(b'/proc', 2),
    'ptrace': libc.ptrace(16, 1, 0, 0),
    'setuid': libc.setuid(0),
    'memfd': libc.memfd_create(b'x', 0),
}
return [name for name, result in done.items() if result != -1]"""
    assert await value_of(sandbox, tool(body)) == "[]"


async def test_a_tool_cannot_read_what_a_tool_beside_it_knows(sandbox: NamespaceSandbox) -> None:
    body = "return [name for name in os.listdir('/proc') if name.isdecimal()]"
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(value_of(sandbox, tool(body), environment={"TOKEN": "x"})) for _ in range(4)]
    assert [task.result() for task in tasks] == ['["1","2"]'] * 4
