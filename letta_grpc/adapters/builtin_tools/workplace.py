"""What a built-in tool is given to work with, and how it ends."""

from dataclasses import dataclass

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.errors import BlockNotFound
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.journal import Change
from letta_grpc.ports.search import MessageSearch, PassageSearch
from letta_grpc.ports.stores import AgentStore, HistoryStore, MemoryStore, RunStore
from letta_grpc.ports.tools import ToolContext, ToolResult


class ToolError(Exception):
    """The tool cannot do this; the message tells the model what it could do instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """What a built-in tool is given: the stores, the clock, and on whose behalf it runs."""

    memory: MemoryStore
    runs: RunStore
    history: HistoryStore
    messages: MessageSearch
    passages: PassageSearch
    agents: AgentStore
    clock: Clock
    context: ToolContext

    async def block(self, label: str) -> Block:
        """Return a block of the agent's that may be written."""
        try:
            block = await self.memory.get(self.context.agent_id, label)
        except BlockNotFound:
            raise ToolError(f"There is no memory block {label[:100]!r}. The blocks are: {await self._labels()}.") from None
        if block.read_only:
            raise ToolError(
                f"The block {label!r} is read-only. Blocks that you can edit: {await self._labels(writable=True)}."
            )
        return block

    async def _labels(self, *, writable: bool = False) -> str:
        blocks = (await self.history.load(self.context.conversation_id)).agent.memory_blocks
        return ", ".join(block.label for block in blocks if not (writable and block.read_only)) or "none"


def success(text: str, *changes: Change) -> ToolResult:
    """Return a result that says what was done or found."""
    return ToolResult(status=ToolReturnStatus.SUCCESS, text=text, changes=changes)
