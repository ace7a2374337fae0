"""How the adversarial upstream answers where a vendor is strict about the request. The table of names is in `upstream.py`."""

import json
from collections.abc import Awaitable, Callable

from tests.support.upstream_answers import Answer, Json, words


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


STRICT_ANSWERS: list[tuple[str, Callable[..., Awaitable[None]]]] = [
    ("repeats-request", repeats_request),
    ("repeats-two-requests", repeats_two_requests),
    ("wants-reasoning", wants_reasoning),
]
