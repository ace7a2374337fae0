"""How the adversarial upstream answers, by model name. The table of names is in `upstream.py`."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

Json = dict[str, Any]
BIG_FRAME = 300_000


class Answer:
    """One answer under way: writes HTTP to the client in whatever pieces it likes."""

    def __init__(self, body: Json, writer: asyncio.StreamWriter, gate: asyncio.Semaphore, seen: Counter[str]) -> None:
        self.body = body
        self.model = str(body.get("model", ""))
        self.writer = writer
        self.gate = gate
        self.seen = seen
        self.keep_alive = True

    async def send(self) -> None:
        for pattern, answer in ANSWERS:
            if match := re.fullmatch(pattern, self.model):
                await answer(self, *match.groups())
                return
        await self.refuse(404, {"message": f"The model `{self.model}` does not exist", "code": "model_not_found"})

    @property
    def user_text(self) -> str:
        texts = [message.get("content") or "" for message in self.body.get("messages", []) if message["role"] == "user"]
        return texts[-1] if texts else ""

    @property
    def after_tool(self) -> bool:
        return bool(self.body.get("messages")) and self.body["messages"][-1]["role"] == "tool"

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def plain(self, status: int, body: bytes, content_type: str = "application/json", headers: str = "") -> None:
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        await self.raw(head.encode() + body)

    async def refuse(self, status: int, error: Json, headers: str = "") -> None:
        await self.plain(status, json.dumps({"error": error}).encode(), headers=headers)

    async def begin(self) -> None:
        await self.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def body_bytes(self, *pieces: bytes) -> None:
        """Send pieces as HTTP chunks in one write."""
        await self.raw(b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece))

    async def frames(self, *chunks: Json) -> None:
        """Send frames in one write."""
        await self.body_bytes(*(frame(chunk) for chunk in chunks))

    async def end(self, reason: str | None = "stop", completion: int = 0) -> None:
        """Send finish, usage (if it was asked for), [DONE] and the end of the body."""
        if reason is not None:
            await self.frames(chunk({}, reason))
        if (self.body.get("stream_options") or {}).get("include_usage"):
            await self.frames(usage_chunk(self.body, completion))
        await self.body_bytes(b"data: [DONE]\n\n")
        await self.raw(b"0\r\n\r\n")

    def cut(self) -> None:
        """Break the connection."""
        self.keep_alive = False
        self.writer.transport.abort()

    async def say(self, words: Iterable[str]) -> int:
        count = 0
        for word in words:
            await self.frames(chunk({"content": word}))
            count += 1
        return count


def chunk(delta: Json, reason: str | None = None) -> Json:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def usage_chunk(body: Json, completion: int) -> Json:
    prompt = sum(len(str(message.get("content") or "").split()) for message in body.get("messages", []))
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    return chunk({}) | {"choices": [], "usage": usage}


def call_delta(index: int, call_id: str | None, name: str | None, arguments: str) -> Json:
    piece: Json = {"index": index, "function": {"arguments": arguments}}
    if call_id:
        piece |= {"id": call_id, "type": "function"}
    if name:
        piece["function"]["name"] = name
    return {"tool_calls": [piece]}


def frame(data: Json) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def numbered(count: int) -> list[str]:
    return [f"w{number} " for number in range(count)]


async def echo(answer: Answer) -> None:
    await answer.begin()
    await answer.end(completion=await answer.say(re.findall(r"\s*\S+", answer.user_text)))


async def words(answer: Answer, count: str) -> None:
    await answer.begin()
    await answer.end(completion=await answer.say(numbered(int(count))))


async def burst(answer: Answer, count: str) -> None:
    await answer.begin()
    await answer.frames(*(chunk({"content": word}) for word in numbered(int(count))))
    await answer.end(completion=int(count))


async def slow(answer: Answer, count: str, milliseconds: str) -> None:
    await answer.begin()
    for word in numbered(int(count)):
        await answer.say([word])
        await asyncio.sleep(int(milliseconds) / 1000)
    await answer.end(completion=int(count))


async def gated(answer: Answer, count: str) -> None:
    await answer.begin()
    for number, word in enumerate(numbered(int(count))):
        if number:
            await answer.gate.acquire()
        await answer.say([word])
    await answer.gate.acquire()
    await answer.end(completion=int(count))


async def endless(answer: Answer) -> None:
    await answer.begin()
    while True:
        await answer.say(["more "])
        await asyncio.sleep(0.005)


async def hang(answer: Answer) -> None:
    await answer.gate.acquire()
    await words(answer, "3")


async def hang_body(answer: Answer) -> None:
    await answer.begin()
    await answer.gate.acquire()
    await answer.end(completion=await answer.say(numbered(3)))


async def hang_after_word(answer: Answer) -> None:
    await answer.begin()
    await answer.say(["w0 "])
    await answer.gate.acquire()
    await answer.end(completion=1)


async def hang_after_finish(answer: Answer) -> None:
    await answer.begin()
    await answer.say(["w0 "])
    await answer.frames(chunk({}, "stop"))
    await answer.gate.acquire()


async def late_end(answer: Answer) -> None:
    """Hold back the end of the body, not of the answer."""
    await answer.begin()
    await answer.frames(chunk({"content": "w0 "}), chunk({}, "stop"))
    await answer.body_bytes(b"data: [DONE]\n\n")
    await answer.gate.acquire()
    await answer.raw(b"0\r\n\r\n")


async def status(answer: Answer, code: str) -> None:
    await answer.refuse(int(code), {"message": f"refused with {code}", "type": "test_error", "code": None})


async def status_after(answer: Answer, code: str, seconds: str) -> None:
    await answer.refuse(int(code), {"message": "later"}, f"retry-after: {seconds}\r\n")


async def flaky(answer: Answer, code: str, failures: str) -> None:
    if answer.seen[answer.model] <= int(failures):
        await answer.refuse(int(code), {"message": "try again"}, "retry-after-ms: 20\r\n")
    else:
        await words(answer, "3")


async def flaky_cut(answer: Answer, failures: str) -> None:
    if answer.seen[answer.model] <= int(failures):
        await answer.begin()
        answer.cut()
    else:
        await words(answer, "3")


async def quota(answer: Answer) -> None:
    await answer.refuse(429, {"message": "You exceeded your current quota", "code": "insufficient_quota"})


async def context_length(answer: Answer) -> None:
    message = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
    error = {"message": message, "type": "invalid_request_error", "code": "context_length_exceeded"}
    await answer.refuse(400, error)


async def window(answer: Answer, most: str) -> None:
    said = " ".join(message["content"] for message in answer.body["messages"] if message.get("content"))
    if len(said.split()) > int(most):
        await context_length(answer)
    else:
        await words(answer, "3")


async def bad_key(answer: Answer) -> None:
    await answer.refuse(401, {"message": "Incorrect API key provided: sk-te****key", "code": "invalid_api_key"})


async def no_stream_options(answer: Answer) -> None:
    if "stream_options" in answer.body:
        await answer.refuse(400, {"message": "Unrecognized request argument supplied: stream_options"})
    else:
        await words(answer, "3")


async def redirect(answer: Answer) -> None:
    await answer.plain(302, b"", headers="location: /elsewhere\r\n")


async def garbage(answer: Answer) -> None:
    await answer.plain(200, b"<html><body>It works!</body></html>", "text/html")


async def garbage_chunk(answer: Answer) -> None:
    await answer.begin()
    await answer.say(["w0 "])
    await answer.body_bytes(b"data: {not json}\n\n")
    await answer.end()


async def no_http(answer: Answer) -> None:
    answer.keep_alive = False
    await answer.raw(b"220 smtp.example.test ESMTP\r\n")


async def empty(answer: Answer) -> None:
    await answer.plain(200, b"", "text/event-stream")


async def nothing(answer: Answer) -> None:
    await answer.begin()
    await answer.end()


async def cut_first(answer: Answer) -> None:
    answer.cut()


async def cut_token(answer: Answer) -> None:
    await answer.begin()
    await answer.say(numbered(2))
    await answer.body_bytes(b'data: {"choices":[{"index":0,"delta":{"content":"hal')
    answer.writer.close()
    answer.keep_alive = False


async def gated_cut(answer: Answer) -> None:
    await answer.begin()
    await answer.say(["w0 "])
    await answer.gate.acquire()
    await answer.say(["w1 "])
    answer.writer.close()
    answer.keep_alive = False


async def cut_clean(answer: Answer) -> None:
    await answer.begin()
    await answer.say(numbered(2))
    await answer.raw(b"0\r\n\r\n")


async def cut_tool_call(answer: Answer) -> None:
    await answer.begin()
    await answer.frames(chunk(call_delta(0, "call_cut", "memory_insert", '{"label": "hu')))
    answer.writer.close()
    answer.keep_alive = False


async def error_first(answer: Answer) -> None:
    await answer.begin()
    await answer.frames({"error": {"message": "overloaded", "type": "server_error", "code": 503}})
    await answer.raw(b"0\r\n\r\n")


async def error_in_stream(answer: Answer) -> None:
    await answer.begin()
    await answer.frames(chunk({"content": "w0 "}), {"error": {"message": "upstream broke", "code": 502}})
    await answer.raw(b"0\r\n\r\n")


async def reasoning(answer: Answer, spelling: str) -> None:
    deltas: dict[str, list[Json]] = {
        "deepseek": [{"role": "assistant", "content": None, "reasoning_content": part} for part in ("Let me ", "think.")],
        "vllm": [{"reasoning": part} for part in ("Let me ", "think.")],
        "openrouter": [
            {"content": "", "reasoning": part, "reasoning_details": [{"type": "reasoning.text", "text": part}]}
            for part in ("Let me ", "think.")
        ],
        "details": [
            {"reasoning_details": [{"type": "reasoning.summary", "summary": "Let me "}]},
            {"reasoning_details": [{"type": "reasoning.text", "text": "think."}]},
        ],
    }
    await answer.begin()
    await answer.frames(*(chunk(delta) for delta in deltas[spelling]))
    await answer.end(completion=await answer.say(["Done."]))


async def tool(answer: Answer, name: str) -> None:
    """Call a tool with the user's text as arguments, in pieces; after its return say that it is done."""
    await answer.begin()
    if answer.after_tool:
        await answer.end(completion=await answer.say(["Done."]))
        return
    arguments = answer.user_text if answer.user_text.startswith("{") else "{}"
    half = len(arguments) // 2
    await answer.frames(chunk(call_delta(0, "call_1", name, "")))
    await answer.frames(chunk(call_delta(0, None, None, arguments[:half])))
    await answer.frames(chunk(call_delta(0, None, None, arguments[half:])))
    await answer.end("tool_calls", completion=3)


async def parallel_tools(answer: Answer, name: str, count: str) -> None:
    await answer.begin()
    if answer.after_tool:
        await answer.end(completion=await answer.say(["Done."]))
        return
    for number in range(int(count)):
        await answer.frames(chunk(call_delta(number, f"call_{number}", name, "{}")))
    await answer.end("tool_calls", completion=int(count))


async def bad_arguments(answer: Answer, name: str) -> None:
    await answer.begin()
    if answer.after_tool:
        await answer.end(completion=await answer.say(["Done."]))
        return
    await answer.frames(chunk(call_delta(0, "call_1", name, "{'label': not json")))
    await answer.end("tool_calls", completion=1)


async def same_ids(answer: Answer, name: str) -> None:
    """Give the id `call_0` to every call, as some servers do."""
    await answer.begin()
    if answer.after_tool:
        await answer.end(completion=await answer.say(["Done."]))
        return
    await answer.frames(chunk(call_delta(0, "call_0", name, "{}")), chunk(call_delta(1, "call_0", name, "{}")))
    await answer.end("tool_calls", completion=2)


async def huge(answer: Answer, characters: str | int = BIG_FRAME) -> None:
    await answer.begin()
    await answer.frames(chunk({"content": "x" * int(characters)}))
    await answer.end(completion=1)


async def bytewise(answer: Answer) -> None:
    """Send "Grüße 👋" with every byte a write of its own."""
    await answer.begin()
    data = f"data: {json.dumps(chunk({'content': 'Grüße 👋'}), ensure_ascii=False)}\r\n\r\n".encode()
    for byte in data:
        await answer.body_bytes(bytes([byte]))
        await asyncio.sleep(0)
    await answer.end(completion=2)


async def finish(answer: Answer, reason: str) -> None:
    await answer.begin()
    await answer.end(reason, completion=await answer.say(numbered(2)))


async def no_finish(answer: Answer) -> None:
    await answer.begin()
    await answer.end(None, completion=await answer.say(numbered(2)))


async def json_body(answer: Answer) -> None:
    message = {"role": "assistant", "content": "w0 w1 "}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}
    await answer.plain(200, json.dumps(body).encode())


ANSWERS: list[tuple[str, Callable[..., Awaitable[None]]]] = [
    ("echo", echo),
    (r"words-(\d+)", words),
    (r"burst-(\d+)", burst),
    (r"slow-(\d+)-(\d+)", slow),
    (r"gated-(\d+)", gated),
    ("endless", endless),
    ("hang", hang),
    ("hang-body", hang_body),
    ("hang-after-word", hang_after_word),
    ("hang-after-finish", hang_after_finish),
    ("late-end", late_end),
    (r"status-(\d+)", status),
    (r"status-(\d+)-after-(\d+)", status_after),
    (r"flaky-(\d+)-(\d+)", flaky),
    (r"flaky-cut-(\d+)", flaky_cut),
    ("quota", quota),
    ("context-length", context_length),
    (r"window-(\d+)", window),
    ("bad-key", bad_key),
    ("no-stream-options", no_stream_options),
    ("redirect", redirect),
    ("garbage", garbage),
    ("garbage-chunk", garbage_chunk),
    ("no-http", no_http),
    ("empty", empty),
    ("nothing", nothing),
    ("cut-first", cut_first),
    ("cut-token", cut_token),
    ("gated-cut", gated_cut),
    ("cut-clean", cut_clean),
    ("cut-tool-call", cut_tool_call),
    ("error-first", error_first),
    ("error-in-stream", error_in_stream),
    ("reasoning-(deepseek|vllm|openrouter|details)", reasoning),
    (r"tool-(\w+)", tool),
    (r"parallel-(\w+)-(\d+)", parallel_tools),
    (r"bad-arguments-(\w+)", bad_arguments),
    (r"same-ids-(\w+)", same_ids),
    ("huge", huge),
    (r"huge-(\d+)", huge),
    ("bytewise", bytewise),
    (r"finish-(\w+)", finish),
    ("no-finish", no_finish),
    ("json-body", json_body),
]
