"""Chat completions of the upstream: what is asked, and the tokens of what it answers."""

from collections.abc import Iterable

import orjson

_DATA = len(b"data: ")
_END = b"[DONE]"


def completion_request(model: str, content: str) -> bytes:
    """Return a whole request for a streamed completion."""
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": content}], "stream": True})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: upstream\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def texts(events: Iterable[bytes]) -> list[str]:
    """Return the texts of the chunks that have one."""
    found: list[str] = []
    for event in events:
        payload = event[_DATA:]
        choices = [] if payload == _END else orjson.loads(payload)["choices"]
        if choices and (text := choices[0]["delta"].get("content")):
            found.append(text)
    return found
