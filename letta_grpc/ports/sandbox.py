"""Where tools that people wrote run. The contract: `letta_grpc.testing.sandboxes`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from letta_grpc.domain.tools import PythonSource, ToolSignature
from letta_grpc.ports.tools import Output, ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCall:
    """One call of a tool. `arguments` is the JSON text that the model wrote; `environment` the secrets it declared."""

    source: PythonSource
    name: str
    arguments: str
    environment: Mapping[str, str] = field(default_factory=dict)


class Sandbox(Protocol):
    """Runs source code apart from the server: no environment of the server's, no files of it, limits on everything."""

    def unavailable(self) -> str | None:
        """Return why tools cannot be contained on this machine, None if they can."""
        ...

    async def describe(self, code: str, *, name: str = "", parameters: str = "") -> ToolSignature:
        """Return the signature of the function of this name, or else of the last public one, derived inside the sandbox.

        `parameters`, a JSON Schema, takes the place of what the annotations say, which may then be missing. Raises
        ToolSourceInvalid, ToolSandboxUnavailable.
        """
        ...

    async def run(self, call: SandboxCall, output: Output) -> ToolResult:
        """Run a tool; give its output to `output` as it comes.

        Whatever the tool does is a result with status ERROR, never raised: an exception, a hard exit, a limit passed, a
        timeout. So is a sandbox that is not available (TOOL_SANDBOX_UNAVAILABLE in the text). When the caller is
        cancelled, the tool's whole process tree is dead before the CancelledError is raised.
        """
        ...
