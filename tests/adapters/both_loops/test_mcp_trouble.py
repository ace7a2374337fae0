"""Servers that die, and what they are given and leave behind."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.http import MAX_JSON_BYTES
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.domain.errors import McpServerFailed, ServerDraining
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import McpServer, StdioEndpoint
from letta_grpc.ports.tools import ToolResult
from tests.support.mcp_servers import HttpProcess, http_process, registered, stdio_server

PATIENCE = 20.0
OPEN = McpPolicy(allow_stdio=True, allow_private_addresses=True)


async def call(client: McpConnections, server: McpServer, tool: str, **arguments: object) -> ToolResult:
    return await client.call(server, tool, json.dumps(arguments), PATIENCE)


async def pid_of(client: McpConnections, server: McpServer) -> int:
    return int((await call(client, server, "pid")).text)


async def there(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - it is another process that makes the file
        await asyncio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def logged(name: str, level: int, wanted: Callable[[logging.LogRecord], bool]) -> Iterator[asyncio.Event]:
    """Set the event when a record is logged that is wanted."""
    found, loop = asyncio.Event(), asyncio.get_running_loop()

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if wanted(record):
                loop.call_soon_threadsafe(found.set)

    logger, handler = logging.getLogger(name), Handler()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield found
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


async def test_a_child_that_was_killed_between_calls_is_started_again(tmp_path: Path) -> None:
    server = stdio_server(tmp_path)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        first = await pid_of(client, server)
        with logged("letta_grpc.adapters.mcp", logging.INFO, lambda record: "ended" in record.getMessage()) as noticed:
            os.kill(first, signal.SIGKILL)
            await noticed.wait()
        assert await pid_of(client, server) != first
        assert (await call(client, server, "add", a=1, b=2)).text == "3"
    assert (tmp_path / "added").read_text() == "1+2\n"


async def test_a_child_that_dies_during_a_call_is_an_error_and_the_call_is_not_repeated(tmp_path: Path) -> None:
    server = stdio_server(tmp_path)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        first = await pid_of(client, server)
        async with asyncio.TaskGroup() as group:
            calling = group.create_task(call(client, server, "slow", name="once"))
            await there(tmp_path / "once.began")
            (tmp_path / "once.began").unlink()
            os.kill(first, signal.SIGKILL)
        result = calling.result()
        assert result.status is ToolReturnStatus.ERROR
        assert "may have had its effect" in result.text
        assert await pid_of(client, server) != first
    assert not (tmp_path / "once.began").exists()


async def test_a_tool_that_ends_its_server_is_an_error_and_the_next_call_works(tmp_path: Path) -> None:
    server = stdio_server(tmp_path)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        assert (await call(client, server, "dies")).status is ToolReturnStatus.ERROR
        assert (await call(client, server, "add", a=1, b=2)).text == "3"


async def test_an_http_server_that_was_killed_between_calls_is_found_again(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        with http_process(tmp_path) as process:
            server = registered("web", process.endpoint)
            first = await pid_of(client, server)
            process.kill()
            gone = await call(client, server, "add", a=1, b=2)
            assert gone.status is ToolReturnStatus.ERROR
            assert "'web'" in gone.text
        with http_process(tmp_path, process.port):
            assert await pid_of(client, server) != first


async def test_an_http_server_that_dies_during_a_call_is_an_error(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        with http_process(tmp_path) as process:
            server = registered("web", process.endpoint)
            async with asyncio.TaskGroup() as group:
                calling = group.create_task(call(client, server, "slow", name="http"))
                await there(tmp_path / "http.began")
                process.kill()
            assert calling.result().status is ToolReturnStatus.ERROR
            assert "may have had its effect" in calling.result().text


async def test_one_servers_death_leaves_the_others_calls_alone(tmp_path: Path) -> None:
    dying, living = stdio_server(tmp_path, "dying"), stdio_server(tmp_path, "living")
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        pid = await pid_of(client, living)
        assert (await call(client, dying, "dies")).status is ToolReturnStatus.ERROR
        assert await pid_of(client, living) == pid


async def test_arguments_that_no_message_can_hold_are_an_error_and_leave_the_session_alone(tmp_path: Path) -> None:
    """JSON can write half of a character; UTF-8 cannot."""
    server = stdio_server(tmp_path)
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        first = await pid_of(client, server)
        result = await client.call(server, "add", '{"a": "\\ud800"}', PATIENCE)
        assert result.status is ToolReturnStatus.ERROR
        assert "half a character" in result.text
        assert await pid_of(client, server) == first


async def test_a_session_that_its_server_forgot_is_opened_again_and_the_call_made_once(tmp_path: Path) -> None:
    """Servers of before 2026 have sessions, and answer 404 after a restart: the call was surely not made."""
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        with http_process(tmp_path, legacy=True) as process:
            server = registered("old", process.endpoint)
            assert (await call(client, server, "add", a=1, b=1)).text == "2"
            process.kill()
        with http_process(tmp_path, process.port, legacy=True):
            assert (await call(client, server, "add", a=2, b=2)).text == "4"
    assert (tmp_path / "added").read_text() == "1+1\n2+2\n"


async def test_no_child_outlives_the_client(tmp_path: Path) -> None:
    servers = [stdio_server(tmp_path, name) for name in ("one", "two")]
    async with asyncio.timeout(PATIENCE):
        async with McpConnections(OPEN) as client:
            pids = [await pid_of(client, server) for server in servers]
            assert all(map(is_alive, pids))
            await client.forget(servers[0])
            assert list(map(is_alive, pids)) == [False, True]
        assert not any(map(is_alive, pids))
        late = await call(client, servers[0], "pid")
        assert late.status is ToolReturnStatus.ERROR


async def test_a_child_that_hangs_while_it_starts_does_not_outlive_the_client(tmp_path: Path) -> None:
    program = f"import os, pathlib, time; pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid())); time.sleep(99)"
    server = registered("mute", StdioEndpoint(command=sys.executable, arguments=("-c", program)))
    async with asyncio.timeout(PATIENCE):
        async with McpConnections(OPEN) as client:
            result = await client.call(server, "add", "{}", 0.5)
            assert "0.5 seconds" in result.text
            await there(tmp_path / "pid")
        assert not is_alive(int((tmp_path / "pid").read_text()))


@pytest.mark.parametrize("forgotten", [True, False], ids=["its server is forgotten", "the client ends"])
async def test_a_call_that_waits_for_a_session_which_is_ended_opens_no_other(tmp_path: Path, *, forgotten: bool) -> None:
    """Nobody would end that one."""
    code = f"import time; open({str(tmp_path / 'started')!r}, 'a').write('x'); time.sleep(1000)"
    server = registered("hangs", StdioEndpoint(command=sys.executable, arguments=("-c", code)))
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
        async with McpConnections(OPEN) as client:
            calling = group.create_task(client.call(server, "any", "{}", PATIENCE / 2))
            await there(tmp_path / "started")
            if forgotten:
                await client.forget(server)
                assert "was ended" in (await calling).text
        assert "was ended" in (await calling).text
    assert (tmp_path / "started").read_text() == "x"


async def test_once_all_sessions_have_ended_this_server_is_stopping_and_no_other_has_failed(tmp_path: Path) -> None:
    server = registered("any", StdioEndpoint(command="touch", arguments=(str(tmp_path / "started"),)))
    async with asyncio.timeout(PATIENCE):
        async with McpConnections(OPEN) as client:
            pass
        with pytest.raises(ServerDraining):
            await client.list_tools(server)
        result = await client.call(server, "any", "{}", PATIENCE)
    assert result.status is ToolReturnStatus.ERROR
    assert "is stopping" in result.text
    assert not (tmp_path / "started").exists()


async def test_a_server_that_hangs_is_not_waited_for_when_it_is_asked_for_its_tools() -> None:
    server = registered("mute", StdioEndpoint(command=sys.executable, arguments=("-c", "import time; time.sleep(99)")))
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN, listing_seconds=0.5) as client:
        with pytest.raises(McpServerFailed) as caught:
            await client.list_tools(server)
        assert "0.5 seconds" in caught.value.message


async def test_a_child_gets_what_it_is_given_and_nothing_else_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "ours")
    monkeypatch.setenv("LANG", "C.UTF-8")
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        seen = json.loads((await call(client, stdio_server(tmp_path, GIVEN="theirs"), "environment")).text)
    assert seen["GIVEN"] == "theirs"
    assert seen["LANG"] == "C.UTF-8"
    assert seen.keys() <= {"GIVEN", "MCP_TEST_FOLDER", "PATH", "HOME", "LANG", "LOGNAME", "SHELL", "TERM", "USER", "LC_CTYPE"}


async def test_what_a_child_says_on_stderr_is_logged_at_level_debug(tmp_path: Path) -> None:
    def is_greeting(record: logging.LogRecord) -> bool:
        return record.levelno == logging.DEBUG and "hello from stderr" in record.getMessage()

    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        with logged("letta_grpc.adapters.mcp", logging.DEBUG, is_greeting) as heard:
            await pid_of(client, stdio_server(tmp_path))
            await heard.wait()


async def test_headers_go_out_and_a_refusal_of_them_is_told_without_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with http_process(tmp_path, key="opensesame") as process:
        async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
            with caplog.at_level(logging.DEBUG, "letta_grpc"):
                assert (await call(client, registered("key", process.endpoint), "add", a=1, b=2)).text == "3"
                wrong = registered("wrong", HttpProcess(process.process, process.port, "guessed-key").endpoint)
                refused = await call(client, wrong, "add", a=1, b=2)
    assert refused.status is ToolReturnStatus.ERROR
    assert "HTTP 401" in refused.text
    assert not [
        record for record in caplog.records if "guessed-key" in record.getMessage() or "opensesame" in record.getMessage()
    ]


async def test_an_answer_over_http_that_is_too_large_is_an_error_of_its_call_alone(tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE), McpConnections(OPEN) as client:
        with http_process(tmp_path) as process:
            server = registered("web", process.endpoint)
            first = await pid_of(client, server)
            large = await call(client, server, "huge", characters=MAX_JSON_BYTES)
            assert large.status is ToolReturnStatus.ERROR
            assert large.text == (
                f"Error: the MCP server 'web' failed: its answer has more than {MAX_JSON_BYTES} bytes. "
                "The call may have had its effect; it was not repeated."
            )
            assert await pid_of(client, server) == first
