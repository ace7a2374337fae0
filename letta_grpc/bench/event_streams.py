"""Runs as server-sent events: what is asked, and the JSON of what is answered."""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from letta_grpc.bench.conversations import open_conversations
from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.sse_relay import PATH
from letta_grpc.bench.subjects import Server


async def event_requests(server: Server, scenario: Scenario, count: int, text: str) -> list[bytes]:
    """Return `count` requests that start an answer; ours each in a conversation of its own."""
    if not server.agents:
        return [_request(server, PATH, {"model": scenario.model, "text": text})] * count
    run = {"model": f"bench/{scenario.model}", "messages": [{"user": {"text": text}}]}
    return [
        _request(server, f"/api/v1/agents/{agent_id}/runs:stream", {"conversationId": conversation_id, "run": run})
        for agent_id, conversation_id in await open_conversations(server, count)
    ]


def told(events: Iterable[bytes]) -> Iterator[Any]:
    """Yield the JSON of each event, comments left out."""
    for event in events:
        if (at := event.find(b"data: ")) >= 0:
            yield orjson.loads(event[at + 6 :])


def _request(server: Server, path: str, asked: dict[str, Any]) -> bytes:
    body = orjson.dumps(asked)
    head = f"POST {path} HTTP/1.1\r\nhost: {server.web}\r\ncontent-type: application/json\r\naccept: text/event-stream"
    return f"{head}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
