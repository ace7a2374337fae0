"""Messages of a conversation as people read them: as a transcript shows a run."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from letta_grpc.cli.rendering import Json, to_the_minute, visible, word
from letta_grpc.cli.transcript import SPEAKING, return_line

_REASONING = ("reasoning", "summarizedReasoning")
_SPEAKERS = {"ROLE_USER", "ROLE_SYSTEM", "ROLE_SUMMARY"}


def show_message(console: Console, message: Json) -> None:
    """Print a message: a line or more for each of its parts."""
    for text, style in _lines(message):
        console.print(Text(visible(text), style), soft_wrap=True)


def text_of(message: Json) -> str:
    """Return what a message says, without its reasoning."""
    return "".join("[picture]" if "image" in part else part.get("text", "") for part in message.get("content", []))


def _lines(message: Json) -> Iterator[tuple[str, str]]:
    role = message["role"]
    if role in _SPEAKERS:
        # By a step the server told the model something: that it has another turn, or that there is none.
        speaker = "server" if "stepId" in message and role == "ROLE_USER" else word(role)
        style = "bold" if speaker == "user" else "dim"
        yield f"{to_the_minute(message['createTime'])}  {speaker}> {text_of(message)}", style
        return
    for part in message.get("content", []):
        if thought := next((part[kind] for kind in _REASONING if kind in part), ""):
            yield thought, "dim italic"
    if text := text_of(message):
        yield text, ""
    for call in message.get("toolCalls", []):
        yield from _called(call, waited=role == "ROLE_APPROVAL")
    for decision in message.get("decisions", []):
        yield _decided(decision), "yellow"
    for returned in message.get("toolReturns", []):
        if role == "ROLE_APPROVAL":
            # What it was follows, with what the other tools of the step gave.
            yield f"answered: {returned['toolCallId']}", "yellow"
        elif returned.get("text") or message.get("name") != SPEAKING:
            yield return_line(returned)


def _called(call: Json, *, waited: bool) -> Iterator[tuple[str, str]]:
    told = f"{call['name']} {call.get('arguments', '')}"
    if waited:
        yield f"? {told}  asks for an answer: {call['id']}", "bold yellow"
    elif call["name"] != SPEAKING:
        yield f"→ {told}", "cyan"


def _decided(decision: Json) -> str:
    call_id = decision["toolCallId"]
    if "deny" in decision:
        return f"denied: {call_id} {decision['deny'].get('reason', '')}".rstrip()
    return f"approved: {call_id} {decision['approve'].get('arguments', '')}".rstrip()
