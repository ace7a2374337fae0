"""MCP servers to test with: `mcp_server.py` as a process, over both transports."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from letta_grpc.domain.ids import new_mcp_server_id
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint

PROGRAM = Path(__file__).with_name("mcp_server.py")


def registered(name: str, endpoint: StdioEndpoint | HttpEndpoint) -> McpServer:
    return McpServer(id=new_mcp_server_id(), name=name, endpoint=endpoint, create_time=datetime(2030, 1, 1, tzinfo=UTC))


def stdio_server(folder: Path, name: str = "child", **environment: str) -> McpServer:
    """A server that the client starts."""
    endpoint = StdioEndpoint(
        command=sys.executable, arguments=(str(PROGRAM), "stdio"), environment={"MCP_TEST_FOLDER": str(folder), **environment}
    )
    return registered(name, endpoint)


@dataclass(frozen=True, slots=True)
class HttpProcess:
    """A server of its own that listens."""

    process: "subprocess.Popen[str]"
    port: int
    key: str = "opensesame"

    @property
    def endpoint(self) -> HttpEndpoint:
        return HttpEndpoint(url=f"http://127.0.0.1:{self.port}/mcp", headers={"x-key": self.key})

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def http_process(folder: Path, port: int = 0, *, key: str = "", legacy: bool = False) -> Iterator[HttpProcess]:
    """Run a server that may want a key and may be old; return once it accepts."""
    command = [sys.executable, str(PROGRAM), "http", str(port), *(["legacy"] if legacy else [])]
    environment = {"MCP_TEST_FOLDER": str(folder), "MCP_TEST_KEY": key, "PATH": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603 - our own program
        try:
            assert process.stdout
            yield HttpProcess(process, int(process.stdout.readline()))
        finally:
            process.kill()
