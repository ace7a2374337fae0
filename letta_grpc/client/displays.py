"""How runs, agents and messages look in a notebook and at IPython's prompt: `%load_ext letta_grpc.client`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from letta_grpc.client.accumulator import Accumulator, text_of
from letta_grpc.v1 import agents_pb2, messages_pb2, runs_pb2


def run_line(run: runs_pb2.Run) -> str:
    """Return what a run came to, in one line."""
    return " · ".join([f"{run.id} {_state(run)}", *_facts(run)])


def run_markdown(run: runs_pb2.Run) -> str:
    """Return what a run came to, and the calls that wait."""
    head = " · ".join([f"**{_state(run)}** {run.id}", *_facts(run)])
    waiting = _table("waits for an answer", ((action.name, action.arguments) for action in run.pending_actions))
    return "\n\n".join(filter(None, [head, waiting]))


def told_markdown(so_far: Accumulator) -> str:
    """Return what events add up to: the text, the calls with their returns, the run."""
    calls = _table("gave", ((call, _returned(so_far, call)) for call in so_far.tool_calls))
    text = "\n".join(f"> {line}".rstrip() for line in so_far.text.splitlines())
    return "\n\n".join(filter(None, [text, calls, run_markdown(so_far.run) if so_far.run else ""]))


def agent_line(agent: agents_pb2.Agent) -> str:
    """Return who an agent is, in one line."""
    return " · ".join([f"{agent.id} {agent.name}", agent.model, *agent.tools])


def agent_markdown(agent: agents_pb2.Agent) -> str:
    """Return who an agent is, and what it remembers."""
    head = f"**{_cell(agent.name)}** {agent.id} · {agent.model}"
    tools = ", ".join(f"`{name}`" for name in agent.tools)
    memory = _table("memory", ((block.label, block.value) for block in agent.memory_blocks))
    return "\n\n".join(filter(None, [head, tools, memory]))


def message_line(message: messages_pb2.Message) -> str:
    """Return what a message says, in one line."""
    role = messages_pb2.Role.Name(message.role).removeprefix("ROLE_")
    calls = [f"{call.name}({call.arguments})" for call in message.tool_calls]
    returns = [returned.text for returned in message.tool_returns]
    return f"{role}: {' '.join(filter(None, [text_of(message), *calls, *returns]))}"


def stream_line(stream: object, so_far: Accumulator) -> str:
    """Return what a stream follows, in one line."""
    return f"<{type(stream).__name__} {run_line(so_far.run) if so_far.run else 'not started'}>"


def load_ipython_extension(ipython: Any) -> None:  # noqa: ANN401 - IPython is no dependency
    """Show runs, agents and messages as people read them."""
    markdown, plain = (ipython.display_formatter.formatters[kind] for kind in ("text/markdown", "text/plain"))
    lines: dict[type[Message], Callable[[Any], str]] = {
        runs_pb2.Run: run_line,
        agents_pb2.Agent: agent_line,
        messages_pb2.Message: message_line,
    }
    for kind, line in lines.items():
        plain.for_type(kind, _pretty(line))
    markdown.for_type(runs_pb2.Run, run_markdown)
    markdown.for_type(agents_pb2.Agent, agent_markdown)


def _pretty(line: Callable[[Any], str]) -> Callable[[Any, Any, bool], None]:
    return lambda thing, printer, _: printer.text(line(thing))


def _state(run: runs_pb2.Run) -> str:
    return runs_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_")


def _facts(run: runs_pb2.Run) -> Iterator[str]:
    if run.HasField("error"):
        yield run.error.reason
    if run.model:
        yield run.model
    if run.usage.total_tokens:
        yield f"{run.usage.prompt_tokens} + {run.usage.completion_tokens} tokens"
    if run.timing.HasField("time_to_first_token"):
        yield f"first token after {_seconds(run.timing.time_to_first_token)}"
    if run.timing.HasField("total"):
        yield f"{_seconds(run.timing.total)} in all"


def _seconds(span: Duration) -> str:
    seconds = span.ToTimedelta().total_seconds()
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def _returned(so_far: Accumulator, call: messages_pb2.ToolCall) -> str:
    returned = so_far.tool_returns.get(call.id)
    return returned.text if returned else ""


def _table(heading: str, rows: Iterator[Sequence[object]]) -> str:
    lines = [f"| {_cell(name)} | {_cell(value)} |" for name, value in rows]
    return "\n".join([f"| | {heading} |", "|---|---|", *lines]) if lines else ""


def _cell(value: object) -> str:
    """Return a value in one cell of a table, whatever is in it."""
    text = f"{value.name}({value.arguments})" if isinstance(value, messages_pb2.ToolCall) else str(value)
    return text.replace("|", "\\|").replace("\n", "<br>")
