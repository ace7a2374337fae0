"""`scripted/script`: the last user text is what the model does.

The text is a JSON list of turns, one for each step of the run; a turn is a list of actions:

    {"text": "Hello "}                                      a batch of text
    {"repeat": 100, "text": "x ", "delay_ms": 10}           that often, with a pause before each if there is one
    {"reasoning": "Hm."}                                    a batch of reasoning
    {"tool_call": {"name": "memory_insert", "arguments": {…}, "id": "call_1"}}      arguments as text are sent as they are
    {"tool_call": {…, "piece_chars": 3}}                    the arguments in pieces of so many characters
    {"delay_ms": 50}                                        a pause
    {"wait_for_cancel": true}                               waits for ever
    {"error": "MODEL_OVERLOADED"}                           fails for this reason; "message" if another text is wanted
    {"finish": "length"}                                    ends for this reason: stop, length, tool_calls, content_filter
    {"usage": {"prompt_tokens": 7, "completion_tokens": 3}} reports this

A step beyond the last turn answers with nothing.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from letta_grpc.adapters.scripted.actions import Action, CallTool, Fail, Finish, Pause, Report, Send, WaitFor
from letta_grpc.domain.completions import FinishReason, ModelRequest, ReasoningChunk, TextChunk
from letta_grpc.domain.errors import ModelBadRequest, ModelFailure
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.usage import Usage

_FAILURES = {failure.reason: failure for failure in ModelFailure.__subclasses__()}
_HINT = 'scripted/script wants a JSON list of turns, each a list of actions, such as [[{"text": "Hello"}]]'


def last_user_text(request: ModelRequest) -> str:
    """Return the newest words of a user's."""
    return next((message.text for message in reversed(request.messages) if is_users(message)), "")


def turn_index(messages: tuple[Message, ...]) -> int:
    """Return how many assistant messages stand behind the last user's."""
    count = 0
    for message in reversed(messages):
        if is_users(message):
            break
        count += message.role is Role.ASSISTANT
    return count


def is_users(message: Message) -> bool:
    """Say whether a message is a user's own, not one by which the server gives the model control again."""
    return message.role is Role.USER and message.step_id is None


def script_actions(request: ModelRequest) -> list[Action]:
    """Return what to do in this step. Raises ModelBadRequest for a text that is no script."""
    try:
        turns = json.loads(last_user_text(request))
    except (ValueError, RecursionError) as error:
        raise ModelBadRequest(f"{_HINT}; the text is not JSON: {error}", model=request.model) from error
    if not isinstance(turns, list) or not all(isinstance(turn, list) for turn in turns):
        raise ModelBadRequest(_HINT, model=request.model)
    index = turn_index(request.messages)
    turn = turns[index] if index < len(turns) else []
    return [action for number, item in enumerate(turn) for action in _checked(item, f"turn {index}, action {number}", request)]


def _checked(item: Any, place: str, request: ModelRequest) -> list[Action]:  # noqa: ANN401 - a caller's JSON
    try:
        return list(_actions(item))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelBadRequest(f"{place} cannot be done: {error}; {_HINT}", model=request.model) from error


def _actions(item: Any) -> Iterator[Action]:  # noqa: ANN401 - a caller's JSON
    match item:
        case {"text": str(text)}:
            yield from _repeated(text, item.get("repeat", 1), item.get("delay_ms", 0))
        case {"reasoning": str(text)}:
            yield Send((ReasoningChunk(text),))
        case {"tool_call": {"name": str(name)}}:
            arguments: Any = item["tool_call"].get("arguments", {})
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            yield CallTool(name, text, item["tool_call"].get("id"), int(item["tool_call"].get("piece_chars", 0)))
        case {"delay_ms": int() | float() as milliseconds}:
            yield Pause(milliseconds / 1000)
        case {"wait_for_cancel": True}:
            yield WaitFor(asyncio.Event())
        case {"error": str(reason)}:
            yield Fail(_failure(reason, item.get("message")))
        case {"finish": str(reason)}:
            yield Finish(FinishReason(reason))
        case {"usage": dict(counts)}:
            yield Report(Usage(**counts))
        case _:
            raise ValueError(f"{json.dumps(item)} is no action")


def _repeated(text: str, repeat: int, delay_ms: float) -> Iterator[Action]:
    for _ in range(repeat):
        if delay_ms:
            yield Pause(delay_ms / 1000)
        yield Send((TextChunk(text),))


def _failure(reason: str, message: str | None) -> ModelFailure:
    if reason not in _FAILURES:
        raise ValueError(f"{reason} is none of {', '.join(sorted(_FAILURES))}")
    return _FAILURES[reason](message, provider="scripted")
