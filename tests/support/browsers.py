"""A real Chromium, headless, and a server for it that can be killed and started again where it was."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, expect, sync_playwright

from tests.support.programs import required
from tests.support.server_process import serving_process

ROOT = Path(__file__).parents[2]
PAGE_SOURCES = ROOT / "letta_grpc/gateway/page"
PAGE_TOOLS = "npm: run `make page-tools`"
WAIT_MS = 20_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a browser; it and all its processes end with the block."""
    program = required("chromium", "chromium-browser", "google-chrome")
    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


class Served:
    """A server with its gateway, as a process."""

    def __init__(self, folder: Path, *flags: str, **more: str) -> None:
        self._folder = folder
        self._flags = flags
        self._more = more
        self._running = ExitStack()
        self.url = ""
        self.api = httpx2.Client(trust_env=False, timeout=20)

    def __enter__(self) -> Self:
        self.start("127.0.0.1:0")
        return self

    def __exit__(self, *_: object) -> None:
        self.api.close()
        self._running.close()

    def start(self, http: str | None = None) -> None:
        """Start it; by default where it was before."""
        address = http or self.url.removeprefix("http://")
        process = serving_process(self._folder, "--http", address, *self._flags, **self._more)
        line, self._process = self._running.enter_context(process)
        self.url = line.partition(" http=")[2]
        self.api.base_url = self.url

    def kill(self) -> None:
        """Let it die at once."""
        self._process.kill()
        self._process.wait()

    def post(self, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        answer = self.api.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
        answer = self.api.get(f"/api/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def agent(self, name: str = "Ada", **fields: Any) -> str:  # noqa: ANN401 - of any field
        """Make an agent, by default one that does what its user writes as a script."""
        agent = {"name": name, "model": "scripted/script", **fields}
        agent_id: str = self.post("agents", agent=agent)["agent"]["id"]
        return agent_id


class Visitor:
    """Somebody with the chat page open."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.problems: list[str] = []
        self.dialogs: list[str] = []
        page.set_default_timeout(WAIT_MS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("dialog", self._refuse)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.problems.append(message.text)

    def _refuse(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    @property
    def answers(self) -> Sequence[str]:
        """What the agent has said, message by message; messages without words are left out."""
        texts = self.page.locator(".message.agent .prose").all_text_contents()
        return [text for text in texts if text]

    def open(self, url: str, agent_id: str = "") -> None:
        """Go to the page, and wait until the conversation is there."""
        self.page.goto(f"{url}/#{agent_id}")
        if agent_id:
            expect(self.page.locator("body")).not_to_have_attribute("data-mode", "loading")

    def write(self, text: str) -> None:
        """Send a message by the keyboard."""
        field = self.page.get_by_label("Message", exact=True)
        field.fill(text)
        field.press("Enter")

    def play(self, *turns: Sequence[Any]) -> None:
        """Have a scripted agent do these things."""
        self.write(json.dumps(turns))

    def settled(self, mode: str = "idle") -> None:
        """Wait until nothing is under way any more."""
        expect(self.page.locator("body")).to_have_attribute("data-mode", mode)


@contextmanager
def visiting(context: BrowserContext) -> Iterator[Visitor]:
    """Open a tab of its own."""
    try:
        yield Visitor(context.new_page())
    finally:
        context.close()


def call(name: str, **arguments: str) -> Any:  # noqa: ANN401 - JSON
    """A tool call of a script."""
    return {"tool_call": {"name": name, "arguments": arguments}}
