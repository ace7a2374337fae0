"""`scripted/demo`: an agent by rules, which shows what the product does with no model at all.

It greets, notes what it is told in its memory block by calling `memory_insert`, knows the name that stands there, calls a tool
of its own when it is told to ("run roll_dice" or "run roll_dice with {"sides": 6}"), says that it is scripted when it is
asked, and otherwise talks.
"""

import json
import re
from collections.abc import Iterator

from letta_grpc.adapters.scripted.actions import Action, CallTool, Pause, Send
from letta_grpc.adapters.scripted.playing import words
from letta_grpc.adapters.scripted.script import is_users, last_user_text
from letta_grpc.domain.completions import ModelRequest, TextChunk
from letta_grpc.domain.messages import Message, Role, ToolReturnStatus

_BLOCK = "human"
_TOOL = "memory_insert"
# What a tool asks for whose agent would otherwise end its turn after a call.
_HEARTBEAT = "request_heartbeat"

_NAME = re.compile(r"\b(?:my name is|i am called|i'm called|call me)\s+([^\s.,;:!?]+(?:\s+[A-Z][^\s.,;:!?]*)*)", re.IGNORECASE)
_REMEMBER = re.compile(r"\b(?:remember|note)\b(?:\s+that)?[\s:,]+(.+?)[.!]*$", re.IGNORECASE | re.DOTALL)
_ASKS_NAME = re.compile(r"\bwhat(?:'s| is) my name\b|\bwho am i\b|\bdo you (?:know|remember) my name\b", re.IGNORECASE)
_ASKS_SELF = re.compile(
    r"\bwho are you\b|\bwhat are you\b|\bare you (?:a |an )?(?:real|bot|ai|human|model|llm)\b|\b(?:which|what) model\b",
    re.IGNORECASE,
)
_RUN = re.compile(r"\b(?:run|use|call)\s+(?:the tool\s+)?([\w-]+)(?:\s+with\s+(\{.*\}))?", re.IGNORECASE | re.DOTALL)
_GREETS = re.compile(r"^\s*(?:hello|hi|hey|good (?:morning|afternoon|evening))\b", re.IGNORECASE)
_KNOWN_NAME = re.compile(r"\bname(?: is|:)\s+([^\n.]+)", re.IGNORECASE)

_GREETING = "Hello! I am glad you are here. Tell me your name, and I will keep it in my memory."
_SELF = (
    "I am scripted/demo: a handful of rules that need no key, not a language model. Everything around me is real, though: my "
    "memory, my tools, and the numbered stream that brings you these words."
)
_TALK = (
    "Thank you for telling me. Each of these words is an event with a number of its own, stored before you see it. If your "
    "connection breaks, attach again behind the last number, and not a word will be missing. You can also tell me to remember "
    "something, and watch me write it into my memory."
)


def demo_actions(request: ModelRequest, pace_seconds: float) -> list[Action]:
    """Return what the agent does next."""
    own = (message for message in reversed(request.messages) if message.role is not Role.USER or is_users(message))
    last = next(own, None)
    if last is not None and last.role is Role.TOOL:
        return list(_say(_after_tool(last, request), pace_seconds))
    text = last_user_text(request)
    if wanted := _wanted_call(text, request):
        return [*_say("Let me do that. ", pace_seconds), wanted]
    fact = _fact(text)
    if fact is None:
        return list(_say(_answer(text, request.system), pace_seconds))
    tool = next((tool for tool in request.tools if tool.name == _TOOL), None)
    if tool is None:
        return list(_say(f"I would like to note that {fact}, but I have no tool to write into my memory.", pace_seconds))
    return [
        *_say("Let me note that. ", pace_seconds),
        CallTool(_TOOL, _arguments(fact, goes_on=_HEARTBEAT in tool.parameters)),
    ]


def echo_actions(request: ModelRequest) -> list[Action]:
    """Return the user's last text, word by word."""
    return [Send((TextChunk(word),)) for word in words(last_user_text(request))]


def _say(text: str, pace_seconds: float) -> Iterator[Action]:
    for word in words(text):
        if pace_seconds:
            yield Pause(pace_seconds)
        yield Send((TextChunk(word),))


def _fact(text: str) -> str | None:
    """Return what is to be noted, as a clause."""
    if _ASKS_NAME.search(text):
        return None
    if name := _NAME.search(text):
        return f"the person's name is {name[1].strip()}"
    if told := _REMEMBER.search(text):
        return told[1].strip()
    return None


def _wanted_call(text: str, request: ModelRequest) -> CallTool | None:
    """Return the call that the person asks for by name; None where the agent has no such tool."""
    named = _RUN.search(text)
    if named is None or named[1] not in {tool.name for tool in request.tools}:
        return None
    return CallTool(named[1], named[2] or "{}")


def _answer(text: str, system: str) -> str:
    if _ASKS_SELF.search(text):
        return _SELF
    if _ASKS_NAME.search(text):
        name = _KNOWN_NAME.search(_block(system))
        return (
            f"Your name is {name[1].strip()}. It stands in my memory." if name else "I do not know it yet. What is your name?"
        )
    return _GREETING if _GREETS.search(text) else _TALK


def _block(system: str) -> str:
    found = re.search(rf'<block label="{_BLOCK}"[^>]*>\n(.*?)\n</block>', system, re.DOTALL)
    return found[1] if found else ""


def _arguments(fact: str, *, goes_on: bool) -> str:
    arguments: dict[str, object] = {"label": _BLOCK, "text": f"{fact[0].upper()}{fact[1:]}."}
    return json.dumps(arguments | ({_HEARTBEAT: True} if goes_on else {}), ensure_ascii=False)


def _after_tool(message: Message, request: ModelRequest) -> str:
    if _wanted_call(last_user_text(request), request):
        return f"The tool says: {message.tool_returns[0].text}"
    if any(returned.status is ToolReturnStatus.ERROR for returned in message.tool_returns):
        return "I could not write that into my memory. The tool's answer, which you can see, says why."
    fact = _fact(last_user_text(request))
    return f"Done: my memory now says that {fact}. I will know it in every conversation of ours."
