"""`client.tools`: the calls of ToolService, as methods."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Unpack

from letta_grpc.client._async.connection import Connection
from letta_grpc.client.functions import Function
from letta_grpc.client.requests import change
from letta_grpc.client.tool_requests import ToolArguments, python_source, python_tool
from letta_grpc.client.values import JsonText, Seconds, duration, json_text, names_of
from letta_grpc.v1 import agents_pb2, tool_service_pb2, tool_service_pb2_grpc, tools_pb2


class Tools:
    """`client.tools`: the tools that the server runs. A tool is Python source, or a function whose source is sent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = tool_service_pb2_grpc.ToolServiceStub(connection.channel)

    async def create(self, code: str | Function, **tool: Unpack[ToolArguments]) -> tools_pb2.Tool:
        """Make a tool; return it as stored. See ToolArguments.

        Of a function only its own source is sent: what it uses it must import or define in its body.
        """
        request = tool_service_pb2.CreateToolRequest(tool=python_tool(code, tool))
        return (await self._connection.change(self._stub.CreateTool, request)).tool

    async def upsert(self, code: str | Function, **tool: Unpack[ToolArguments]) -> tools_pb2.Tool:
        """Make a tool, or replace the one that has its name, which keeps its id. See ToolArguments."""
        request = tool_service_pb2.UpsertToolRequest(tool=python_tool(code, tool))
        return (await self._connection.ask(self._stub.UpsertTool, request)).tool

    async def get(self, tool_id: str) -> tools_pb2.Tool:
        """Return a tool."""
        return (await self._connection.ask(self._stub.GetTool, tool_service_pb2.GetToolRequest(tool_id=tool_id))).tool

    def list(
        self, *, name: str | None = None, tags: Sequence[str] = (), page_size: int | None = None, descending: bool = False
    ) -> AsyncGenerator[tools_pb2.Tool, None]:
        """Iterate over tools that have all of these tags, the built-in ones first, over all pages."""
        request = tool_service_pb2.ListToolsRequest(
            name=name or "", tags=names_of("tags", tags), page_size=page_size or 0, descending=descending
        )
        return self._connection.pages(self._stub.ListTools, request, lambda page: page.tools)

    async def update(
        self,
        tool_id: str,
        *,
        python: tools_pb2.PythonSource | None = None,
        description: str | None = None,
        parameters: JsonText | None = None,
        tags: Sequence[str] | None = None,
        return_char_limit: int | None = None,
        requires_approval: bool | None = None,
        idempotent: bool | None = None,
        parallel: bool | None = None,
        mcp_timeout: Seconds | None = None,
    ) -> tools_pb2.Tool:
        """Change what is given and leave the rest; `python` is what `python_source` makes."""
        tool, mask = change(
            tools_pb2.Tool(),
            {
                "python": python,
                "description": description,
                "parameters": json_text(parameters),
                "tags": names_of("tags", tags),
                "return_char_limit": return_char_limit,
                "requires_approval": requires_approval,
                "idempotent": idempotent,
                "parallel": parallel,
            },
        )
        if (limit := duration(mcp_timeout, "mcp_timeout")) is not None:
            tool.mcp.timeout.CopyFrom(limit)
            mask.paths.append("mcp.timeout")
        request = tool_service_pb2.UpdateToolRequest(tool_id=tool_id, tool=tool, update_mask=mask)
        return (await self._connection.ask(self._stub.UpdateTool, request)).tool

    async def delete(self, tool_id: str) -> None:
        """Remove a tool, from every agent too."""
        await self._connection.change(self._stub.DeleteTool, tool_service_pb2.DeleteToolRequest(tool_id=tool_id))

    async def attach(self, agent_id: str, name: str) -> agents_pb2.Agent:
        """Give a tool to an agent; return the agent."""
        request = tool_service_pb2.AttachToolRequest(agent_id=agent_id, name=name)
        return (await self._connection.ask(self._stub.AttachTool, request)).agent

    async def detach(self, agent_id: str, name: str) -> agents_pb2.Agent:
        """Take a tool from an agent; return the agent. The tool stays."""
        request = tool_service_pb2.DetachToolRequest(agent_id=agent_id, name=name)
        return (await self._connection.ask(self._stub.DetachTool, request)).agent

    async def set_approval(self, agent_id: str, name: str, *, requires_approval: bool | None) -> agents_pb2.Agent:
        """Say whether an agent's calls of a tool wait for approval; None: as the tool itself says. Return the agent."""
        request = tool_service_pb2.SetToolApprovalRequest(agent_id=agent_id, name=name, requires_approval=requires_approval)
        return (await self._connection.ask(self._stub.SetToolApproval, request)).agent

    async def run(
        self, name: str, arguments: JsonText = "", *, secrets: Mapping[str, str] | None = None
    ) -> tool_service_pb2.RunToolResponse:
        """Run a stored tool once, on behalf of no agent, to try it out. Waits as long as the tool takes."""
        request = tool_service_pb2.RunToolRequest(name=name, arguments=json_text(arguments) or "", secrets=secrets)
        return await self._connection.change(self._stub.RunTool, request, unlimited=True)

    async def run_source(
        self,
        code: str | Function,
        arguments: JsonText = "",
        *,
        secrets: Mapping[str, str] | None = None,
        timeout: Seconds | None = None,  # noqa: ASYNC109 - the tool's limit, kept by the server
        allow_network: bool = False,
    ) -> tool_service_pb2.RunToolResponse:
        """Run code that is not stored, to try it out. It declares the secrets that are given."""
        python = python_source(code, timeout=timeout, allow_network=allow_network, secrets=list(secrets or ()))
        request = tool_service_pb2.RunToolRequest(python=python, arguments=json_text(arguments) or "", secrets=secrets)
        return await self._connection.change(self._stub.RunTool, request, unlimited=True)
