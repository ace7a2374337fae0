"""What people see of events and resources: lines and tables. Everything is read from ProtoJSON.

The command line knows no generated code: what a script gets by `--json` is what these functions read.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

Json = Mapping[str, Any]

_CONTROLS = (*range(0x20), *range(0x7F, 0xA0))


def plain(message: Message) -> Json:
    """Return a message as ProtoJSON."""
    return MessageToDict(message)


def visible(text: str, keep: str = "\n\t") -> str:
    """Return a text with its control characters written out as JSON has them, but for those to keep.

    Names and models' words come from others: to a terminal they could be orders.
    """
    if text.isprintable():
        return text
    return text.replace("\r\n", "\n").translate({code: f"\\u{code:04x}" for code in _CONTROLS if chr(code) not in keep})


def json_text(value: object) -> str:
    """Return a value as one line of JSON, which means the same whatever the output's encoding can show."""
    # Of itself JSON leaves the control characters from U+007F on as they are, and terminals obey those too.
    return visible(json.dumps(value, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf")))


def json_line(message: Message) -> str:
    """Return a message as one line of ProtoJSON."""
    return json_text(plain(message))


def word(name: str) -> str:
    """Return an enum's name as people say it: RUN_STATE_COMPLETED is `completed`."""
    for prefix in ("RUN_STATE_", "STOP_REASON_", "TOOL_RETURN_STATUS_", "ROLE_", "ACTION_KIND_"):
        name = name.removeprefix(prefix)
    return name.lower().replace("_", " ")


def to_the_minute(time: str) -> str:
    """Return a time of ProtoJSON as people read it, still in UTC."""
    return time[:16].replace("T", " ")


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns that are as wide as they must be: an id that is cut is of no use."""
    lines = [[visible(cell, keep="") for cell in line] for line in (header, *rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def print_list(
    found: Sequence[Message], header: Sequence[str], row: Callable[[Json], Sequence[str]], *, as_json: bool
) -> None:
    """Print resources: as JSON, one a line, or in columns."""
    if as_json:
        for one in found:
            typer.echo(json_line(one))
    else:
        typer.echo(columns(header, [row(plain(one)) for one in found]))


def payload_of(event: Json) -> tuple[str, Json]:
    """Return the kind and the content of an event."""
    return next(
        ((name, value) for name, value in event.items() if name not in {"sequenceNumber", "createTime"}), ("unknown", {})
    )
