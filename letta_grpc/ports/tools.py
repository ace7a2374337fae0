"""Tools that the server runs. The contract: `letta_grpc.testing.tools`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.ids import AgentId, ConversationId, RunId
from letta_grpc.domain.messages import ToolCall, ToolReturnStatus
from letta_grpc.ports.journal import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """On whose behalf a tool runs."""

    agent_id: AgentId
    conversation_id: ConversationId
    run_id: RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a tool gave. Its `changes` are stored together with its return, or not at all."""

    status: ToolReturnStatus
    text: str
    stdout: tuple[str, ...] = ()
    stderr: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


class Tools(Protocol):
    """The tools of this server, by name."""

    def find(self, name: str) -> ToolDefinition | None:
        """Return a tool's definition, None if there is no such tool."""
        ...

    def base_tools(self) -> Sequence[str]:
        """Return the names of the tools that a new agent gets."""
        ...

    async def run(self, call: ToolCall, context: ToolContext) -> ToolResult:
        """Run a tool. Whatever is wrong with the call or happens in the tool is a result with status ERROR, never raised.

        A result with changes can be asked for again: the tool itself has changed nothing.
        """
        ...
