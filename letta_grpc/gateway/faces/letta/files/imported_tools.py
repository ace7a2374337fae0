"""The tools that come with a file: made before their agents, or left out with the reason why they can never run here."""

from collections.abc import Mapping

from letta_grpc.gateway.faces.letta.files.reading import Reading
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.toolboxes import all_tools
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import tool_service_pb2 as pb
from letta_grpc.v1 import tools_pb2

_CANNOT_RUN = "TOOL_SOURCE_INVALID"
# The parameters of a tool whose source nothing here can look at: a file of ours must say some.
_ANY_OBJECT = '{"type":"object"}'


class ImportedTools:
    """The tools that an import has made so far. `override`: the file's take the place of those of the same names."""

    def __init__(self, ask: Ask, *, override: bool) -> None:
        self._ask = ask
        self._override = override
        self._made: list[str] = []

    async def make(self, reading: Reading) -> None:
        """Make the tools of an agent; in its file stay only those whose source nothing here can look at. Raises Failure."""
        known = {tool.name: tool for tool in await all_tools(self._ask)}
        tools = list(reading.file.tools)
        del reading.file.tools[:]
        for tool in tools:
            try:
                await self._make(tool, known)
            except Failure as failure:
                self._after_failure(failure, reading, tool, known)

    async def remove(self) -> None:
        """Remove the tools that were made. Raises Failure."""
        for tool_id in self._made:
            await self._ask.call(self._ask.services.tools.DeleteTool, pb.DeleteToolRequest(tool_id=tool_id))

    async def _make(self, tool: tools_pb2.Tool, known: dict[str, tools_pb2.Tool]) -> None:
        here = known.get(tool.name)
        if here is None:
            request = pb.CreateToolRequest(tool=tool)
            known[tool.name] = (await self._ask.call(self._ask.services.tools.CreateTool, request)).tool
            self._made.append(known[tool.name].id)
        elif self._override and here.HasField("python") and here.python.code != tool.python.code:
            await self._ask.call(self._ask.services.tools.UpsertTool, pb.UpsertToolRequest(tool=tool))

    def _after_failure(
        self, failure: Failure, reading: Reading, tool: tools_pb2.Tool, known: Mapping[str, tools_pb2.Tool]
    ) -> None:
        is_here = tool.name in known
        if failure.reason == _CANNOT_RUN:
            instead = "; the one that is here stays" if is_here else ""
            reading.left_out.append(f"{reading.path}.tools: {tool.name!r}: {failure.message}{instead}")
            if not is_here and tool.name in reading.file.agent.tools:
                reading.file.agent.tools.remove(tool.name)
        elif is_here:
            raise failure
        else:
            tool.parameters = tool.parameters or _ANY_OBJECT
            reading.file.tools.append(tool)
