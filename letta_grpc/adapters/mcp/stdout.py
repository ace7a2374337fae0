"""What a child writes to stdout and is no message."""

import logging

from pydantic import ValidationError

from letta_grpc.adapters.mcp.lines import MAX_LINE_BYTES

logger = logging.getLogger(__name__)

# How many lines in a row may be no message: what a tool's own child process prints is tolerated.
_MAX_LINES = 10_000
_MAX_CHARACTERS = MAX_LINE_BYTES
_MAX_SHOWN = 8192


class NotJsonRpcError(Exception):
    """A server writes too much that is no message."""

    message = "what it writes to stdout is not JSON-RPC"


class StrayLines:
    """Tolerates lines that are no message, up to 10,000 lines or 16 Mi characters without a message between them.

    The first line of a session is a warning; what the lines are is logged at level debug, as stderr is.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._warned = False
        self._lines = self._characters = 0

    def message(self) -> None:
        """Begin to count anew: a message came."""
        self._lines = self._characters = 0

    def stray(self, error: Exception) -> None:
        """Count a line, given by what the mcp package says of it. Raises NotJsonRpcError when it is one too many."""
        text = _line_of(error)
        self._tell(text)
        self._lines += 1
        self._characters += len(text)
        if self._lines >= _MAX_LINES or self._characters >= _MAX_CHARACTERS:
            raise NotJsonRpcError

    def _tell(self, text: str) -> None:
        if not self._warned:
            logger.warning("an MCP server writes to stdout what is not JSON-RPC", extra={"mcp_server": self._name})
            self._warned = True
        logger.debug("stdout of an MCP server: %s", text[:_MAX_SHOWN], extra={"mcp_server": self._name})


def hush_the_package() -> None:
    """Have the mcp package log nothing of such lines: to it each is an error, with a traceback."""
    logging.getLogger("mcp.client.stdio").addFilter(_is_not_of_a_line)


def _is_not_of_a_line(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Failed to parse JSONRPC message")


def _line_of(error: Exception) -> str:
    """Return the line; of what is JSON and yet no message, as Python writes it."""
    if not isinstance(error, ValidationError):
        return str(error)
    value = error.errors(include_url=False, include_context=False)[0]["input"]
    return value if isinstance(value, str) else repr(value)
