"""An MCP server of the official package, run as a process: `mcp_server.py stdio`, or `mcp_server.py http <port>`.

What its tools did is told by files in the folder MCP_TEST_FOLDER: a test sees them without asking the server.
"""

import asyncio
import base64
import os
import socket
import sys
from pathlib import Path

import uvicorn
from mcp.server.mcpserver import Image, MCPServer
from mcp.types import BlobResourceContents, CallToolResult, EmbeddedResource, ResourceLink, TextContent, TextResourceContents

FOLDER = Path(os.environ.get("MCP_TEST_FOLDER", "."))
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")

server = MCPServer("test")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    with (FOLDER / "added").open("a") as log:
        log.write(f"{a}+{b}\n")
    return a + b


@server.tool()
async def slow(name: str = "slow") -> str:
    """Wait until it is cancelled."""
    (FOLDER / f"{name}.began").touch()
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        (FOLDER / f"{name}.cancelled").touch()
        raise
    return "never"


@server.tool()
def fails() -> str:
    """Raise."""
    raise ValueError("no luck today")


@server.tool()
def image() -> Image:
    """Return a picture."""
    return Image(data=PNG, format="png")


@server.tool()
def dies() -> str:
    """End the process."""
    os._exit(3)


@server.tool()
def environment() -> dict[str, str]:
    """Return all environment variables."""
    return dict(os.environ)


@server.tool()
def huge(characters: int) -> str:
    """Return a long text."""
    return "x" * characters


@server.tool()
def mixed() -> CallToolResult:
    """Return resources of all kinds."""
    return CallToolResult(
        content=[
            TextContent(text="first"),
            EmbeddedResource(resource=TextResourceContents(uri="file:///a.txt", text="of a file")),
            EmbeddedResource(resource=BlobResourceContents(uri="file:///a.bin", blob="AAAA", mime_type="application/zip")),
            EmbeddedResource(resource=BlobResourceContents(uri="file:///a.png", blob="AAAA", mime_type="image/png")),
            ResourceLink(name="notes", uri="file:///notes.md"),
        ]
    )


@server.tool()
def structured() -> CallToolResult:
    """Return structured content alone."""
    return CallToolResult(content=[], structured_content={"answer": 42})


@server.tool()
def pid() -> int:
    """Return the process's id."""
    return os.getpid()


def serve_http(port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port))
    app = server.streamable_http_app(host="127.0.0.1")
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - how the test learns the port
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve_http(int(sys.argv[2]))
    else:
        print("hello from stderr", file=sys.stderr, flush=True)  # noqa: T201 - what a test looks for
        server.run("stdio")
