"""Who decides about calls that wait: the person at the keyboard, a flag, or nobody here."""

import json
from collections.abc import Callable, Sequence

from rich.console import Console

from letta_grpc.cli.editor import EditingFailedError, chosen_editor, edited
from letta_grpc.cli.rendering import Json, visible
from letta_grpc.client import Answer, Answers, approve, deny

# Takes the calls that wait, as ProtoJSON. What has no answer goes on waiting.
Decide = Callable[[Sequence[Json]], Answers]

CHOICES = "[a]pprove  [d]eny (reason)  [e]dit arguments > "
_APPROVAL = "ACTION_KIND_APPROVAL"


def nobody(_actions: Sequence[Json]) -> Answers:
    """Leave every call waiting."""
    return {}


def always(answer: Answer) -> Decide:
    """Give every call that waits for approval the same answer."""

    def decide(actions: Sequence[Json]) -> Answers:
        return {action["toolCallId"]: answer for action in actions if action["kind"] == _APPROVAL}

    return decide


def asking(console: Console) -> Decide:
    """Ask the person about each call; Ctrl-C and Ctrl-D leave all of them waiting."""

    def decide(actions: Sequence[Json]) -> Answers:
        wanted = [action for action in actions if action["kind"] == _APPROVAL]
        try:
            return {action["toolCallId"]: _ask(console, action, several=len(wanted) > 1) for action in wanted}
        except (EOFError, KeyboardInterrupt):
            console.print()
            return {}

    return decide


def _ask(console: Console, action: Json, *, several: bool) -> Answer:
    """Ask until there is an answer."""
    while True:
        choice, _, rest = input(f"{visible(action['name'])}: {CHOICES}" if several else CHOICES).strip().partition(" ")
        match choice.lower():
            case "a" | "approve":
                return approve()
            case "d" | "deny":
                return deny(rest.strip() or input("reason> ").strip())
            case "e" | "edit":
                if changed := _changed(console, action.get("arguments", "")):
                    return approve(changed)
            case _:
                console.print("a, d or e; Ctrl-C leaves it waiting", style="dim")


def _changed(console: Console, arguments: str) -> str | None:
    """Return the arguments as the person wants them; None, and say why, when there are none, or no JSON object."""
    try:
        text = edited(editor, arguments, "arguments.json") if (editor := chosen_editor()) else input("arguments> ")
    except EditingFailedError as error:
        console.print(visible(str(error)), style="red", soft_wrap=True, markup=False)
        return None
    try:
        if isinstance(json.loads(text), dict):
            return text.strip()
    except ValueError as error:
        console.print(f"That is not JSON: {error}", style="red", markup=False)
        return None
    console.print("That is not a JSON object.", style="red")
    return None
