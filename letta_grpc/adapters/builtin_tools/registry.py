"""The tools by name."""

import logging
from collections.abc import Mapping, Sequence

from letta_grpc.adapters.builtin_tools.agents import (
    send_message_to_agent,
    send_message_to_agent_and_wait,
    send_message_to_agents_matching_tags,
)
from letta_grpc.adapters.builtin_tools.memory import memory_insert, memory_replace, memory_rethink
from letta_grpc.adapters.builtin_tools.recall import archival_memory_insert, archival_memory_search, conversation_search
from letta_grpc.adapters.builtin_tools.signatures import SignedTool, ToolFunction
from letta_grpc.adapters.builtin_tools.workplace import ToolError, Workplace
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.messages import ToolCall
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.search import MessageSearch, PassageSearch
from letta_grpc.ports.stores import AgentStore, HistoryStore, MemoryStore, RunStore
from letta_grpc.ports.tools import Output, ToolContext, ToolResult, failure

logger = logging.getLogger(__name__)

# What a new agent gets.
BASE: tuple[ToolFunction, ...] = (
    memory_insert,
    memory_replace,
    memory_rethink,
    conversation_search,
    archival_memory_insert,
    archival_memory_search,
)
FUNCTIONS: tuple[ToolFunction, ...] = (
    *BASE,
    send_message_to_agent_and_wait,
    send_message_to_agent,
    send_message_to_agents_matching_tags,
)


class BuiltinTools:
    """The built-in tools over the stores. They only read: what they change is in their results."""

    def __init__(
        self,
        *,
        memory: MemoryStore,
        runs: RunStore,
        history: HistoryStore,
        messages: MessageSearch,
        passages: PassageSearch,
        agents: AgentStore,
        clock: Clock,
    ) -> None:
        self._agents = agents
        self._memory = memory
        self._runs = runs
        self._history = history
        self._messages = messages
        self._passages = passages
        self._clock = clock
        self._tools = {tool.definition.name: tool for tool in map(SignedTool.of, FUNCTIONS)}

    async def load(self, names: Sequence[str]) -> Mapping[str, ToolDefinition]:
        """Return the definitions of these tools; a name without a tool is left out."""
        return {name: tool.definition for name in names if (tool := self._tools.get(name))}

    def names(self) -> Sequence[str]:
        """Return the names of all of them."""
        return tuple(self._tools)

    def base_tools(self) -> Sequence[str]:
        """Return the names of the tools that a new agent gets."""
        return tuple(function.__name__ for function in BASE)

    async def run(self, call: ToolCall, context: ToolContext, output: Output) -> ToolResult:  # noqa: ARG002 - the port's shape
        """Run a tool. None of these writes anything meanwhile. Whatever is wrong is a result with status ERROR."""
        try:
            return await self._tool(call.name).run(self._workplace(context), call.arguments)
        except ToolError as error:
            return failure(str(error))
        except Exception:
            # A store that failed is also met by the journal; there it stops the run.
            logger.exception("tool failed", extra={"tool": call.name, "run_id": context.run_id})
            return failure("The tool failed inside the server. Nothing was changed.")

    def _tool(self, name: str) -> SignedTool:
        try:
            return self._tools[name]
        except KeyError:
            raise ToolError(f"There is no tool {name[:100]!r}. The tools are: {', '.join(self._tools)}.") from None

    def _workplace(self, context: ToolContext) -> Workplace:
        return Workplace(
            memory=self._memory,
            runs=self._runs,
            history=self._history,
            messages=self._messages,
            passages=self._passages,
            agents=self._agents,
            clock=self._clock,
            context=context,
        )
