"""A sandbox that reads source code and runs none of it."""

import ast
import asyncio
from dataclasses import dataclass, field

from letta_grpc.domain.errors import ToolSourceInvalid
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import ToolSignature
from letta_grpc.ports.sandbox import SandboxCall
from letta_grpc.ports.tools import Output, ToolResult


@dataclass
class PlainSandbox:
    """A function's name and docstring describe it; a call is kept in `calls` and answered with its arguments."""

    calls: list[SandboxCall] = field(default_factory=list)
    described: int = 0

    def unavailable(self) -> str | None:
        return None

    async def describe(self, code: str, *, name: str = "", parameters: str = "") -> ToolSignature:
        self.described += 1
        await asyncio.sleep(0)
        found = {node.name: node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)}
        if not found:
            raise ToolSourceInvalid
        node = found.get(name) or [*found.values()][-1]
        properties = ", ".join(f'"{argument.arg}": {{}}' for argument in node.args.args)
        schema = f'{{"type": "object", "properties": {{{properties}}}}}'
        return ToolSignature(name=node.name, description=ast.get_docstring(node) or "", parameters=parameters or schema)

    async def run(self, call: SandboxCall, output: Output) -> ToolResult:  # noqa: ARG002 - the port's shape
        self.calls.append(call)
        return ToolResult(status=ToolReturnStatus.SUCCESS, text=call.arguments)
