"""The server as the SDKs meet it: its URL, agents that play scripts, and what comes out of a stream."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.server_process import serving_process

SECONDS = 20
# A tool that is there without a sandbox.
TOOL = "memory_insert"
ARGUMENTS = {"label": "human", "text": "x"}
Json = Any
# The SDK. Its types are narrower than its use: what users send is JSON, and what comes is told apart by `message_type`.
Client = Any


def script(*turns: Sequence[Mapping[str, Json]]) -> str:
    """The user's text that makes `scripted/script` do these turns."""
    return json.dumps(list(turns))


def user(text: str, otid: str | None = None) -> list[dict[str, Json]]:
    """Input of one message."""
    return [{"role": "user", "content": text, **({"otid": otid} if otid else {})}]


def call(call_id: str | None = None, pieces: int = 1, **more: Json) -> dict[str, Json]:
    """The action of a model that calls the tool; its arguments come in so many pieces."""
    size = -(-len(json.dumps(ARGUMENTS)) // pieces)
    told = {"name": TOOL, "arguments": ARGUMENTS, "piece_chars": size if pieces > 1 else 0}
    return {"tool_call": told | ({"id": call_id} if call_id else {}) | more}


@dataclass(frozen=True, slots=True)
class Frame:
    """An event of a stream; `data` is None for `[DONE]`."""

    event: str | None
    data: dict[str, Json] | None


def frames_of(text: str) -> list[Frame]:
    """The events of a whole stream."""
    assert text.endswith("\n\n"), text[-200:]
    return [_frame(block) for block in text[:-2].split("\n\n") if not block.startswith(":")]


def _frame(block: str) -> Frame:
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    assert lines.keys() <= {"event", "data"}, block
    return Frame(lines.get("event"), None if lines["data"] == "[DONE]" else json.loads(lines["data"]))


@dataclass(slots=True)
class Site:
    """A server's URL, and plain requests to it."""

    url: str
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx2.Client(base_url=self.url, trust_env=False, timeout=SECONDS)

    def agent(self, model: str = "scripted/script", **fields: Json) -> str:
        """A new agent."""
        blocks = [{"label": "human", "value": "-", "limit": 100_000}]
        agent = {"model": model, "memoryBlocks": blocks, "tools": [TOOL], **fields}
        answer = self.http.post("/api/v1/agents", json={"agent": agent})
        assert answer.is_success, answer.text
        agent_id: str = answer.json()["agent"]["id"]
        return agent_id

    def post(self, path: str, body: Mapping[str, Json], **headers: str) -> httpx2.Response:
        """The answer to a POST."""
        return self.http.post(path, json=dict(body), headers=headers)

    def stream(self, path: str, body: Mapping[str, Json], **headers: str) -> list[Frame]:
        """The whole stream that answers a POST."""
        answer = self.post(path, body, **headers)
        assert answer.status_code == 200, answer.text
        return frames_of(answer.text)

    def get(self, path: str, **query: Json) -> Json:
        """What a GET answers."""
        answer = self.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def serving_site(folder: Path, *flags: str) -> Iterator[Site]:
    """Run `letta-grpc serve --http` on a database in `folder`."""
    with serving_process(folder, "--http", "127.0.0.1:0", *flags) as (line, _):
        site = Site(line.split("http=")[1])
        with site.http:
            yield site


def kinds(items: Iterable[Any]) -> list[str]:
    """The kinds of messages."""
    return [item.message_type for item in items]


def said(items: Iterable[Any]) -> str:
    """All that the agent said."""
    return "".join(item.content for item in items if item.message_type == "assistant_message")


def named(items: Sequence[Any], kind: str) -> Any:  # noqa: ANN401 - any of the SDK's types
    """The first message of a kind."""
    return next(item for item in items if item.message_type == kind)
