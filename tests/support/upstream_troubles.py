"""How the adversarial upstream refuses, breaks off, and answers with what is none. The names are in `upstream.py`."""

from tests.support.upstream_answers import words
from tests.support.upstream_wire import Answer, Answers, call_delta, chunk, numbered


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
    answer.close()


async def gated_cut(answer: Answer) -> None:
    await answer.begin()
    await answer.say(["w0 "])
    await answer.gate.acquire()
    await answer.say(["w1 "])
    answer.close()


async def cut_clean(answer: Answer) -> None:
    await answer.begin()
    await answer.say(numbered(2))
    await answer.raw(b"0\r\n\r\n")


async def cut_tool_call(answer: Answer) -> None:
    await answer.begin()
    await answer.frames(chunk(call_delta(0, "call_cut", "memory_insert", '{"label": "hu')))
    answer.close()


async def error_first(answer: Answer) -> None:
    await answer.begin()
    await answer.frames({"error": {"message": "overloaded", "type": "server_error", "code": 503}})
    await answer.raw(b"0\r\n\r\n")


async def error_in_stream(answer: Answer) -> None:
    await answer.begin()
    await answer.frames(chunk({"content": "w0 "}), {"error": {"message": "upstream broke", "code": 502}})
    await answer.raw(b"0\r\n\r\n")


TROUBLES: Answers = [
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
]
