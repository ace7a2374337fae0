"""How the adversarial upstream answers well, in whatever pieces and at whatever pace. The names are in `upstream.py`."""

import asyncio
import json
import re

from tests.support.upstream_wire import Answer, Answers, Json, call_delta, chunk, numbered

BIG_FRAME = 300_000


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


async def calls(answer: Answer, *deltas: Json) -> None:
    """Call tools, each delta a write of its own; after their returns say that it is done."""
    await answer.begin()
    if answer.after_tool:
        await answer.end(completion=await answer.say(["Done."]))
        return
    for delta in deltas:
        await answer.frames(chunk(delta))
    await answer.end("tool_calls", completion=len(deltas))


async def tool(answer: Answer, name: str) -> None:
    """Call a tool with the user's text as arguments, in pieces."""
    arguments = answer.user_text if answer.user_text.startswith("{") else "{}"
    half = len(arguments) // 2
    pieces = (arguments[:half], arguments[half:])
    await calls(answer, call_delta(0, "call_1", name, ""), *(call_delta(0, None, None, piece) for piece in pieces))


async def parallel_tools(answer: Answer, name: str, count: str) -> None:
    await calls(answer, *(call_delta(number, f"call_{number}", name, "{}") for number in range(int(count))))


async def bad_arguments(answer: Answer, name: str) -> None:
    await calls(answer, call_delta(0, "call_1", name, "{'label': not json"))


async def same_ids(answer: Answer, name: str) -> None:
    """Give the id `call_0` to every call, as some servers do."""
    await calls(answer, *(call_delta(number, "call_0", name, "{}") for number in range(2)))


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


ANSWERS: Answers = [
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
