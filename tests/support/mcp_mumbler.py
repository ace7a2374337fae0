"""An MCP server that writes more to stdout than the protocol: each tool in its own way."""

import json
import os
import sys
from collections.abc import Callable

out = sys.stdout.buffer


def chatters() -> None:
    """Write a hundred lines that are no messages."""
    out.write(b"working on it\n" * 100)


def floods() -> None:
    """Write nothing else any more."""
    while True:
        out.write(b"working on it\n" * 1000)


def stutters() -> None:
    """Write bytes that are no UTF-8: as a line, within one, and in the answer."""
    out.write(b"\xff\ncaf\xe9\n")


def closes() -> None:
    """Close stdout, and go on."""
    os.close(out.fileno())
    # A child of uvloop has a second descriptor of it.
    os.closerange(3, 1024)
    sys.stdin.read()
    os._exit(0)


def refuses() -> None:
    """Be refused with the code that many servers have for everything."""


TOOLS: dict[str, Callable[[], None]] = {tool.__name__: tool for tool in (chatters, floods, stutters, closes, refuses)}


def result_of(method: str, name: str) -> dict[str, object] | None:
    match method:
        case "initialize":
            info = {"name": "mumbler", "version": "1"}
            return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": info}
        case "tools/list":
            return {"tools": [{"name": tool, "inputSchema": {"type": "object"}} for tool in ("", *TOOLS)]}
        case "tools/call":
            TOOLS[name]()
            return {"content": [{"type": "text", "text": "café" if name == "stutters" else "done"}]}
    return None


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "id" not in message:
            continue
        name = message.get("params", {}).get("name", "")
        result = result_of(message["method"], name)
        end = {"error": {"code": -32601, "message": "unknown"}} if result is None else {"result": result}
        if name == "refuses":
            end = {"error": {"code": -32000, "message": "the disk is full"}}
        answer = {"jsonrpc": "2.0", "id": message["id"], **end}
        # In Latin-1 the é is a byte that is no UTF-8.
        out.write(json.dumps(answer, ensure_ascii=False).encode("latin-1") + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
