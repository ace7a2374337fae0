"""What people see of events and resources: lines and tables. Everything is read from ProtoJSON.

The command line knows no generated code: what a script gets by `--json` is what these functions read.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
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
    for prefix in ("RUN_STATE_", "STOP_REASON_", "TOOL_RETURN_STATUS_", "ROLE_", "ACTION_KIND_"):
        name = name.removeprefix(prefix)
    return name.lower().replace("_", " ")


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns that are as wide as they must be: an id that is cut is of no use."""
    lines = [header, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


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
        case {"actions": actions}:
            return ", ".join(f"{action['name']} {action['toolCallId']}" for action in actions)
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
