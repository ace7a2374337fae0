"""The upstream's answers as bytes: chat completion chunks in the shape and size that providers send."""

import json
from functools import cache

from letta_grpc.bench.scenarios import Scenario
from letta_grpc.bench.tokens import token_text

_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_PLACE = "@"


def _chunk(payload: str) -> bytes:
    data = f"data: {payload}\n\n".encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


def _completion(model: str, *choices: dict[str, object], **more: object) -> str:
    frame = {
        "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
        "object": "chat.completion.chunk",
        "created": 1741570283,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_fc9f1d7035",
        "choices": choices,
    }
    return json.dumps(frame | more, separators=(",", ":"))


def _choice(finish_reason: str | None = None, **delta: object) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


@cache
def _around_token(model: str) -> tuple[str, str]:
    before, _, after = _completion(model, _choice(content=_PLACE)).partition(_PLACE)
    return before, after


@cache
def opening(model: str) -> bytes:
    """Return the response's head and the chunk that says who speaks."""
    return _HEAD + _chunk(_completion(model, _choice(role="assistant", content="", refusal=None)))


def token(model: str, index: int, sent_us: int) -> bytes:
    """Return the chunk of one token."""
    before, after = _around_token(model)
    return _chunk(f"{before}{token_text(index, sent_us)}{after}")


@cache
def closing(model: str, tokens: int) -> bytes:
    """Return what ends an answer: the finish reason, the usage, the end of the stream."""
    usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
    finish = _chunk(_completion(model, _choice("stop"))) + _chunk(_completion(model, usage=usage))
    return finish + _chunk("[DONE]") + b"0\r\n\r\n"


@cache
def burst(scenario: Scenario) -> bytes:
    """Return a whole answer."""
    model = scenario.model
    tokens = (token(model, index, 0) for index in range(scenario.tokens))
    return opening(model) + b"".join(tokens) + closing(model, scenario.tokens)
