"""Writes the README's pictures of the chat page: `python -m tests.support.screenshots`.

A scripted stand-in for a provider answers, so that the pictures show the same conversation whenever they are made.
"""

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from letta_grpc.adapters.scripted.playing import words
from tests.support.browsers import PAGE_SOURCES, Served, Visitor, chromium, visiting

FOLDER = PAGE_SOURCES / "screenshots"
MAX_BYTES = 200_000
_PACE_SECONDS = 0.02
QUESTIONS = (
    "I moved to Lisbon last week. What should I not forget?",
    "Note that I take my coffee black, please.",
)
ANSWERS: tuple[tuple[dict[str, Any], ...], ...] = (
    (
        {"reasoning_content": "They are new in Lisbon. The first weeks are about papers and a bank account; keep it short."},
        {"content": "Welcome to Lisbon! Three things before everything else:\n\n1. **NIF**, the tax number: nothing works"},
        {"content": " without it.\n2. Register your address at the *junta de freguesia*.\n3. A `Navegante` card, for every"},
        {"content": " tram, bus and ferry.\n\nShall I remember where you live?"},
    ),
    (
        {"reasoning_content": "Two facts that will matter later: the city, and the coffee."},
        {"content": "Gladly. I would write both into my memory:"},
        {"tool": ("memory_insert", {"label": "human", "text": "Lives in Lisbon since last week."})},
        {"tool": ("memory_insert", {"label": "human", "text": "Takes coffee black."})},
    ),
    ({"content": "Done. *Bica*, no sugar, it is."},),
)


def _words(delta: dict[str, Any]) -> list[dict[str, Any]]:
    return [{name: word} for name, text in delta.items() if isinstance(text, str) for word in words(text)] or [delta]


class _StandIn(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint with the answers above, one after the other."""

    protocol_version = "HTTP/1.0"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        turn = sum(message["role"] == "assistant" for message in body["messages"])
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        calls = tokens = 0
        for part in ANSWERS[turn]:
            delta = part
            if "tool" in part:
                name, arguments = part["tool"]
                function = {"name": name, "arguments": json.dumps(arguments)}
                delta = {
                    "tool_calls": [{"index": calls, "id": f"call_{turn}_{calls}", "type": "function", "function": function}]
                }
                calls += 1
            for piece in _words(delta):
                time.sleep(_PACE_SECONDS)
                self._frame({"choices": [{"index": 0, "delta": piece}]})
                tokens += 1
        self._frame({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]})
        usage = {"prompt_tokens": 400, "completion_tokens": tokens, "total_tokens": 400 + tokens}
        self._frame({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _frame(self, body: dict[str, Any]) -> None:
        told = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "stand-in", **body}
        self.wfile.write(f"data: {json.dumps(told)}\n\n".encode())
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@contextmanager
def stand_in() -> Iterator[str]:
    """Serve it; give the base URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _StandIn)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def talk(server: Served, visitor: Visitor) -> None:
    """Have the conversation up to the calls that wait."""
    blocks = [
        {"label": "human", "value": "Her name is Grace.", "description": "What I know about the person I talk with."},
        {"label": "persona", "value": "I am Ada. I am brief and kind.", "description": "Who I am."},
    ]
    agent_id = server.agent(model="stand-in/ada", memoryBlocks=blocks, toolApprovals={"memory_insert": True})
    visitor.open(server.url, agent_id)
    for question, mode in zip(QUESTIONS, ("idle", "asking"), strict=True):
        visitor.page.get_by_label("Message", exact=True).fill(question)
        visitor.page.get_by_role("button", name="Send").click()
        visitor.settled(mode)


def picture(visitor: Visitor, name: str) -> Path:
    """Take one."""
    path = FOLDER / name
    visitor.page.evaluate("() => document.activeElement.blur()")
    visitor.page.screenshot(path=path)
    return path


def main() -> None:
    """Write both."""
    FOLDER.mkdir(exist_ok=True)
    phone: Any = {"width": 390, "height": 844}
    with tempfile.TemporaryDirectory() as folder, stand_in() as upstream, chromium() as browser:
        more = {"LETTA_GRPC_PROVIDERS__STAND_IN__BASE_URL": upstream}
        with Served(Path(folder), **more) as server:
            with visiting(browser.new_context(viewport={"width": 1180, "height": 930})) as visitor:
                talk(server, visitor)
                paths = [picture(visitor, "approval-light.png")]
            with visiting(browser.new_context(viewport=phone, has_touch=True, color_scheme="dark")) as visitor:
                talk(server, visitor)
                for card in visitor.page.locator(".call").all():
                    card.get_by_role("button", name="Approve").click()
                visitor.settled()
                expect(visitor.page.locator(".message.agent .prose").last).to_contain_text("no sugar")
                paths.append(picture(visitor, "phone-dark.png"))
    for path in paths:
        size = path.stat().st_size
        sys.stdout.write(f"{path} {size}\n")
        assert size < MAX_BYTES, path


if __name__ == "__main__":
    main()
