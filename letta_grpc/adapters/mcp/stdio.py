"""MCP servers that are child processes."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.client.stdio import StdioServerParameters, stdio_client

from letta_grpc.adapters.mcp.lines import bounded_utf8
from letta_grpc.adapters.mcp.stdout import StrayLines, hush_the_package
from letta_grpc.adapters.mcp.streams import SiftedStream, Streams
from letta_grpc.domain.tools import StdioEndpoint

logger = logging.getLogger(__name__)

_MAX_LINE_BYTES = 8192


@asynccontextmanager
async def stdio_streams(endpoint: StdioEndpoint, name: str) -> AsyncIterator[Streams]:
    """Start a command and speak to it over its standard streams; on leaving, its whole process group is ended.

    Of our environment it gets what the mcp package hands on (PATH, HOME, LOGNAME, SHELL, TERM, USER) and LANG; the rest is
    what the endpoint declares. What it writes to stderr is logged at level debug. What it writes to stdout and is no message
    is kept back; where there is too much of it, reading raises NotJsonRpcError.
    """
    hush_the_package()
    language = {"LANG": value} if (value := os.environ.get("LANG")) else {}
    parameters = StdioServerParameters(
        command=endpoint.command,
        args=list(endpoint.arguments),
        env=language | dict(endpoint.environment),
        encoding=bounded_utf8(),
        # An error would end the reading, and the package tells the session only once the child has closed its stdout.
        encoding_error_handler="replace",
    )
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as errors:
        log, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: _StderrLog(name), os.fdopen(reading, "rb"))
        try:
            async with stdio_client(parameters, errlog=errors) as (received, sent):
                # The child has its own end now: ours would keep the log open after its death.
                errors.close()
                yield SiftedStream(received, StrayLines(name)), sent
        finally:
            log.close()


class _StderrLog(asyncio.Protocol):
    """Logs lines."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Log what is complete; of an endless line, piece by piece."""
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > _MAX_LINE_BYTES:
            lines, rest = [*lines, rest], b""
        self._rest = rest
        for line in lines:
            self._log(line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the shape is asyncio's
        """Log what came last."""
        if self._rest:
            self._log(self._rest)

    def _log(self, line: bytes) -> None:
        text = line[:_MAX_LINE_BYTES].decode(errors="replace")
        logger.debug("stderr of an MCP server: %s", text, extra={"mcp_server": self._name})
