"""What is printed in colours."""

import json
from typing import NoReturn

from google.protobuf.message import Message
from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.text import Text

from letta_grpc.cli.rendering import Json, payload_of, plain, visible, word


class PipedConsole(Console):
    """A console that leaves it to `output_checked` what a closed pipe means."""

    def on_broken_pipe(self) -> NoReturn:
        """Say so."""
        raise BrokenPipeError


def json_page(message: Message) -> Text:
    """Return a message as ProtoJSON for people, on many lines and in colours."""
    return JSONHighlighter()(visible(json.dumps(plain(message), ensure_ascii=False, indent=2)))


def event_line(event: Json) -> Text:
    """Return one event on one line: its number, its kind, and what is in it."""
    number, kind, payload = event.get("sequenceNumber", 0), *payload_of(event)
    return Text.assemble((f"{number:>5}  ", "dim"), (f"{kind:<22} ", "bold"), visible(_summary(payload), keep=""))


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
