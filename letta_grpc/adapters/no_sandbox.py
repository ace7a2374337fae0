"""In place of a sandbox where tools of Python source are not wanted."""

from letta_grpc.domain.errors import ToolSandboxUnavailable
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import ToolSignature
from letta_grpc.ports.sandbox import SandboxCall
from letta_grpc.ports.tools import Output, ToolResult


class NoSandbox:
    """Refuses everything, for the reason it is given."""

    def __init__(self, why: str) -> None:
        self._why = why

    def unavailable(self) -> str | None:
        """Return the reason."""
        return self._why

    async def describe(self, code: str, *, name: str = "", parameters: str = "") -> ToolSignature:  # noqa: ARG002 - the port's shape
        """Raise ToolSandboxUnavailable."""
        raise ToolSandboxUnavailable(f"Tools cannot run: {self._why}.")

    async def run(self, call: SandboxCall, output: Output) -> ToolResult:  # noqa: ARG002 - the port's shape
        """Return an error."""
        text = f"{ToolSandboxUnavailable.reason}: {call.name} cannot run: {self._why}."
        return ToolResult(status=ToolReturnStatus.ERROR, text=text)

    async def aclose(self) -> None:
        """Nothing is open."""
