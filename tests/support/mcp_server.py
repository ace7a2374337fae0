"""An MCP server of the official package, run as a process: `mcp_server.py stdio`, or `mcp_server.py http <port> [legacy]`.

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
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

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
            EmbeddedResource(resource=BlobResourceContents(uri="file:///a.png", blob="iVBORw0KGgo=", mime_type="image/png")),
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


def guarded(app: ASGIApp, key: str, *, legacy: bool) -> ASGIApp:
    """Want a key, if there is one; know nothing of the protocol of 2026, if it is to be an old server."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        headers = dict(scope["headers"])
        if key and headers.get(b"x-key") != key.encode():
            return await Response(status_code=401)(scope, receive, send)
        if legacy and headers.get(b"mcp-method") == b"server/discover":
            return await Response(status_code=400)(scope, receive, send)
        return await app(scope, receive, send)

    return guard


def serve_http(port: int, key: str, *, legacy: bool) -> None:
    listening = socket.create_server(("127.0.0.1", port))
    app = guarded(server.streamable_http_app(host="127.0.0.1"), key, legacy=legacy)
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - how the test learns the port
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


if __name__ == "__main__":
    if sys.argv[1] == "http":
        serve_http(int(sys.argv[2]), os.environ.get("MCP_TEST_KEY", ""), legacy="legacy" in sys.argv)
    else:
        print("hello from stderr", file=sys.stderr, flush=True)  # noqa: T201 - what a test looks for
        (FOLDER / "pid").write_text(str(os.getpid()))
        server.run("stdio")
