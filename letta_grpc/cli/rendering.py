"""What people see: events as a conversation, and resources as tables. Everything is read from ProtoJSON.

The command line knows no generated code: what a script gets by `--json` is what these functions read.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from rich.console import Console
from rich.text import Text

Json = Mapping[str, Any]


def plain(message: Message) -> Json:
    """Return a message as ProtoJSON."""
    return MessageToDict(message)


def json_line(message: Message) -> str:
    """Return a message as one line of ProtoJSON."""
    return json.dumps(plain(message), ensure_ascii=False)


def word(name: str) -> str:
    """Return an enum's name as people say it: RUN_STATE_COMPLETED is `completed`."""
    for prefix in ("RUN_STATE_", "STOP_REASON_", "TOOL_RETURN_STATUS_", "ROLE_"):
        name = name.removeprefix(prefix)
    return name.lower().replace("_", " ")


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns that are as wide as they must be: an id that is cut is of no use."""
    lines = [header, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


class Transcript:
    """Shows a run as it happens: text and reasoning as they come, tool calls and their returns a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open = ""

    def show(self, event: Json) -> None:
        """Show the next event."""
        match event:
            case {"textDelta": {"text": text}}:
                self._write("text", text, "")
            case {"reasoningDelta": {"text": text}}:
                self._write("reasoning", text, "dim italic")
            case {"messageCompleted": {"message": {"toolCalls": calls}}}:
                for call in calls:
                    self.line(f"→ {call['name']} {call.get('arguments', '')}", "cyan")
            case {"toolReturn": returned}:
                failed = returned.get("status") == "TOOL_RETURN_STATUS_ERROR"
                self.line(f"← {returned.get('text', '')}", "red" if failed else "cyan")
            case {"stepRestarted": _}:
                self.line("the server was replaced; the step begins again", "yellow")
            case {"runFinished": {"run": run}}:
                self._finish(run)
            case _:
                pass

    def line(self, text: str, style: str) -> None:
        """Show a line of its own."""
        self._close()
        self._console.print(Text(text, style), soft_wrap=True)

    def _write(self, kind: str, text: str, style: str) -> None:
        if self._open != kind:
            self._close()
            self._open = kind
        self._console.print(Text(text, style), end="", soft_wrap=True)

    def _close(self) -> None:
        if self._open:
            self._console.print()
            self._open = ""

    def _finish(self, run: Json) -> None:
        self._close()
        if "error" in run:
            self.line(f"{run['error'].get('message', '')} ({run['error']['reason']})", "red")
        elif run.get("stopReason") != "STOP_REASON_END_TURN":
            self.line(f"ended: {word(run.get('stopReason', ''))}", "yellow")


def event_line(event: Json) -> Text:
    """Return one event on one line: its number, its kind, and what is in it."""
    number, kind, payload = event.get("sequenceNumber", 0), *payload_of(event)
    return Text.assemble((f"{number:>5}  ", "dim"), (f"{kind:<22} ", "bold"), _summary(payload))


def payload_of(event: Json) -> tuple[str, Json]:
    """Return the kind and the content of an event."""
    return next(
        ((name, value) for name, value in event.items() if name not in {"sequenceNumber", "createTime"}), ("unknown", {})
    )


def _summary(payload: Json) -> str:
    match payload:
        case {"name": name, "arguments": arguments}:
            return f"{name} {arguments}"
        case {"run": {"state": state} as run}:
            reason = run.get("error", {}).get("reason") or run.get("stopReason", "")
            return f"{word(state)} {word(reason)}".strip()
        case {"message": message}:
            text = "".join(part.get("text", "") for part in message.get("content", []))
            return f"{word(message.get('role', ''))} {json.dumps(text, ensure_ascii=False)}"
        case {"text": text}:
            return json.dumps(text, ensure_ascii=False)
        case _:
            return str(payload.get("model") or payload.get("toolCallId") or "")
