"""A run as people see it while it happens."""

from rich.console import Console
from rich.text import Text

from letta_grpc.cli.rendering import Json, visible, word

# What a memgpt agent says by this tool is shown as its text.
SPEAKING = "send_message"


class Transcript:
    """Shows a run: text, reasoning, arguments and what tools write as they come, everything else a line each.

    It may be given the runs of a turn one after the other.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        # What the line at the bottom belongs to; empty at the start of a line.
        self._open = ""
        self._tools: dict[str, str] = {}

    def show(self, event: Json) -> None:
        """Show the next event."""
        match event:
            case {"textDelta": {"text": text}}:
                self._write("text", text, "")
            case {"reasoningDelta": {"text": text}}:
                self._write("reasoning", text, "dim italic")
            case {"toolCallDelta": delta}:
                self._add_arguments(delta)
            case {"messageCompleted": {"message": {"toolCalls": calls}}}:
                self._show_silent_calls(calls)
            case {"toolOutputDelta": delta}:
                self._add_output(delta)
            case {"toolReturn": returned}:
                # That something was said is seen by what was.
                if returned.get("text") or self._tools.get(returned["toolCallId"]) != SPEAKING:
                    self.line(*return_line(returned))
            case _:
                self._show_rare(event)

    def line(self, text: str, style: str) -> None:
        """Show a line of its own."""
        self._close()
        self._console.print(Text(visible(text), style), soft_wrap=True)

    def _show_rare(self, event: Json) -> None:
        match event:
            case {"approvalRequest": {"actions": actions}}:
                for action in actions:
                    self.line(waiting_line(action), "bold yellow")
            case {"contextCompacted": compacted}:
                before, after = compacted.get("tokensBefore", 0), compacted.get("tokensAfter", 0)
                dropped = compacted.get("droppedMessages", 0)
                self.line(f"{dropped} messages became a summary: about {before} tokens before, {after} after", "yellow")
            case {"childRunStarted": child}:
                self.line(f"  ↳ {child['agentId']} is at work: {child['runId']}", "cyan")
            case {"stepRestarted": _}:
                self.line("the server was replaced; the step begins again", "yellow")
            case {"runFinished": {"run": run}}:
                self._finish(run)
            case _:
                pass

    def _add_arguments(self, delta: Json) -> None:
        call_id, name = delta["toolCallId"], delta["name"]
        self._tools[call_id] = name
        self._write(call_id, delta.get("arguments", ""), "cyan", head=f"→ {name} ")

    def _show_silent_calls(self, calls: list[Json]) -> None:
        """Show calls of which no piece was streamed."""
        for call in calls:
            if call["id"] not in self._tools and call["name"] != SPEAKING:
                self.line(f"→ {call['name']} {call.get('arguments', '')}", "cyan")
            self._tools[call["id"]] = call["name"]

    def _add_output(self, delta: Json) -> None:
        failing = delta.get("stream") == "OUTPUT_STREAM_STDERR"
        kind = f"{delta['toolCallId']} {delta.get('stream')}"
        for piece in delta.get("text", "").splitlines(keepends=True):
            self._write(kind, piece.rstrip("\r\n"), "yellow" if failing else "dim", head="  │ ")
            if piece.endswith("\n"):
                self._close()

    def _write(self, kind: str, text: str, style: str, head: str = "") -> None:
        if self._open != kind:
            self._close()
            self._open = kind
            text = head + text
        self._console.print(Text(visible(text), style), end="", soft_wrap=True)

    def _close(self) -> None:
        if self._open:
            self._console.print()
            self._open = ""

    def _finish(self, run: Json) -> None:
        self._close()
        if "error" in run:
            self.line(f"{run['error'].get('message', '')} ({run['error']['reason']})", "red")
        elif run["state"] != "RUN_STATE_INTERRUPTED" and run.get("stopReason") != "STOP_REASON_END_TURN":
            self.line(f"ended: {word(run.get('stopReason', ''))}", "yellow")


def waiting_line(action: Json) -> str:
    """Return a call that waits on one line."""
    whom = "approval" if action["kind"] == "ACTION_KIND_APPROVAL" else "a client that runs it"
    return visible(f"? {action['name']} {action.get('arguments', '')}  waits for {whom}: {action['toolCallId']}")


def return_line(returned: Json) -> tuple[str, str]:
    """Return what a tool gave, and its style."""
    if "content" in returned:
        text = "".join(part.get("text", "[picture]") for part in returned["content"].get("parts", []))
    else:
        text = returned.get("text", "")
    return (f"← error: {text}", "red") if returned.get("status") == "TOOL_RETURN_STATUS_ERROR" else (f"← {text}", "cyan")
