"""Trying a tool out."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from letta_grpc.domain.arguments import as_json
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import ToolId, new_tool_id
from letta_grpc.domain.return_limits import cut_lines, cut_text
from letta_grpc.domain.tools import BuiltinSource, OutputStream, PythonSource, Tool
from letta_grpc.engine.tool_catalog import ToolCatalog
from letta_grpc.engine.tools import ToolRegistry
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.sandbox import Sandbox
from letta_grpc.ports.tools import ToolResult

# How much of each output stream is given back, so that the text and both streams fit into what any client takes.
_MAX_OUTPUT_CHARACTERS = 200_000


@dataclass(frozen=True, slots=True)
class ToolName:
    """The name of a tool."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One call on behalf of nobody: of a stored tool, by its id or its name, or of source code that is stored nowhere."""

    tool: ToolId | ToolName | PythonSource
    arguments: str = "{}"
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialOutcome:
    """What the call gave, and how long it took."""

    result: ToolResult
    seconds: float


class ToolTrials:
    """Runs tools outside of any run. Nothing of it is kept."""

    def __init__(self, *, registry: ToolRegistry, catalog: ToolCatalog, sandbox: Sandbox, clock: Clock) -> None:
        self._registry = registry
        self._catalog = catalog
        self._sandbox = sandbox
        self._clock = clock

    async def run(self, trial: Trial) -> TrialOutcome:
        """Run a tool once; whatever it does is a result.

        Raises ToolNotFound, McpServerNotFound, ToolSourceInvalid, ToolSandboxUnavailable, InvalidRequest for a built-in tool.
        """
        tool = await self._tool(trial)
        start = self._clock.time_ns()
        result = await self._catalog.use(tool, as_json(trial.arguments), trial.secrets, _unheard)
        return TrialOutcome(
            result=replace(
                result,
                text=cut_text(result.text, tool.return_char_limit),
                stdout=cut_lines(result.stdout, _MAX_OUTPUT_CHARACTERS),
                stderr=cut_lines(result.stderr, _MAX_OUTPUT_CHARACTERS),
            ),
            seconds=(self._clock.time_ns() - start) / 1e9,
        )

    async def _tool(self, trial: Trial) -> Tool:
        now = self._clock.now()
        if isinstance(trial.tool, PythonSource):
            signature = await self._sandbox.describe(trial.tool.code)
            return Tool(
                id=new_tool_id(),
                name=signature.name,
                parameters=signature.parameters,
                source=trial.tool,
                create_time=now,
                update_time=now,
            )
        tool = await (
            self._registry.named(trial.tool.name) if isinstance(trial.tool, ToolName) else self._registry.get(trial.tool)
        )
        if isinstance(tool.source, BuiltinSource):
            raise InvalidRequest(fields={"tool": "is a built-in one, which runs on behalf of an agent only"})
        if isinstance(tool.source, PythonSource):
            # Whether it can run at all here is a failure of the call, not an answer of the tool.
            await self._sandbox.describe(tool.source.code, name=tool.name, parameters=tool.parameters)
        return tool


def _unheard(_stream: OutputStream, _text: str) -> None:
    """Take what a tool writes while it runs; its result has it again."""
