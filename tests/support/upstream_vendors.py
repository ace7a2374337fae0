"""How the adversarial upstream answers as some vendors do: strict about a request, loose about an end. See `upstream.py`."""

import asyncio
import json
import re

from tests.support.upstream_answers import words
from tests.support.upstream_wire import Answer, Answers, Json, chunk


async def repeats_request(answer: Answer) -> None:
    """Refuse, repeating the request as servers that check it with pydantic do."""
    await answer.refuse(400, {"message": f"Value error, bad: 'input': {json.dumps(answer.body)}"})


async def repeats_two_requests(answer: Answer) -> None:
    if answer.seen[answer.model] <= 2:
        await repeats_request(answer)
    else:
        await words(answer, "3")


def messages_with_calls(answer: Answer) -> list[Json]:
    return [message for message in answer.body["messages"] if message.get("tool_calls")]


async def wants_reasoning(answer: Answer) -> None:
    if all("reasoning_content" in message for message in messages_with_calls(answer)):
        await words(answer, "3")
    else:
        await answer.refuse(400, {"message": "The `reasoning_content` in the thinking mode must be passed back to the API."})


async def nine_character_ids(answer: Answer) -> None:
    ids = [call["id"] for message in messages_with_calls(answer) for call in message["tool_calls"]]
    ids += [message["tool_call_id"] for message in answer.body["messages"] if message["role"] == "tool"]
    wrong = [each for each in ids if not re.fullmatch("[a-zA-Z0-9]{9}", each)]
    if wrong:
        message = f"Tool call id was {wrong[0]} but must be a-z, A-Z, 0-9, with a length of 9."
        body = {"object": "error", "message": message, "type": "invalid_request_message_order", "code": "3280"}
        await answer.plain(400, json.dumps(body).encode())
    else:
        await words(answer, "3")


async def limit_field(answer: Answer, taken: str) -> None:
    refusals = {
        "max_tokens": "Unsupported parameter: 'max_tokens' is not supported here. Use 'max_completion_tokens' instead.",
        "max_completion_tokens": "Unrecognized request argument supplied: max_completion_tokens",
    }
    for field, refusal in refusals.items():
        if field in answer.body and field != taken:
            await answer.refuse(400, {"message": refusal, "param": field})
            return
    await words(answer, "3")


async def too_large(answer: Answer) -> None:
    await answer.refuse(400, {"message": "'max_tokens' or 'max_completion_tokens' is too large: 100000."})


async def ping_after_finish(answer: Answer) -> None:
    await answer.begin()
    await answer.frames(chunk({"content": "w0 "}), chunk({}, "stop"))
    while True:
        await answer.body_bytes(b": ping\n\n")
        await asyncio.sleep(0.005)


async def late_usage(answer: Answer) -> None:
    await answer.begin()
    await answer.frames(chunk({"content": "w0 "}), chunk({}, "stop"))
    await answer.gate.acquire()
    await answer.end(None, completion=1)


VENDORS: Answers = [
    ("repeats-request", repeats_request),
    ("repeats-two-requests", repeats_two_requests),
    ("wants-reasoning", wants_reasoning),
    ("nine-character-ids", nine_character_ids),
    (r"takes-(\w+)", limit_field),
    ("too-large", too_large),
    ("ping-after-finish", ping_after_finish),
    ("late-usage", late_usage),
]
