"""Tools that the server runs. The contract: `letta_grpc.testing.tools`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.ids import AgentId, ConversationId, RunId
from letta_grpc.domain.messages import InputPart, ToolCall, ToolReturnStatus
from letta_grpc.domain.tools import OutputStream
from letta_grpc.ports.children import ChildRuns, NoChildRuns
from letta_grpc.ports.journal import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """On whose behalf a tool runs. `children`: how it has other agents run."""

    agent_id: AgentId
    conversation_id: ConversationId
    run_id: RunId
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    children: ChildRuns = field(default_factory=NoChildRuns, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool gave. Its `changes` are stored together with its return, or not at all.

    `content` is set where text alone cannot say it, as for pictures.
    """

    status: ToolReturnStatus
    text: str
    content: tuple[InputPart, ...] = ()
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


def failure(text: str) -> ToolResult:
    """Return a result that says what was wrong."""
    return ToolResult(status=ToolReturnStatus.ERROR, text=f"Error: {text}")


# Takes what a tool writes while it runs, in order, on the event loop's thread. Quick; never raises.
Output = Callable[[OutputStream, str], None]


class Tools(Protocol):
    """The tools of this server, by name."""

    async def load(self, names: Sequence[str]) -> Mapping[str, ToolDefinition]:
        """Return the definitions of these tools, in this order; a name without a tool is left out."""
        ...

    def base_tools(self) -> Sequence[str]:
        """Return the names of the tools that a new agent gets."""
        ...

    async def run(self, call: ToolCall, context: ToolContext, output: Output) -> ToolResult:
        """Run a tool, and give what it writes meanwhile to `output`.

        Whatever is wrong with the call or happens in the tool is a result with status ERROR, never raised. A tool whose result
        has `changes` has changed nothing itself, so that it can be run again. When the call is cancelled, the tool has stopped
        for good before the CancelledError is raised.
        """
        ...


class OwnTools(Tools, Protocol):
    """The tools that are part of the server. No other tool has one of their names."""

    def names(self) -> Sequence[str]:
        """Return the names of all of them, always in the same order."""
        ...
