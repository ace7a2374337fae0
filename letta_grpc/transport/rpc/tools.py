"""ToolService."""

# ruff: noqa: N802 - methods are named as the contract names them

from letta_grpc.engine.tool_trials import ToolTrials
from letta_grpc.engine.tools import ToolRegistry
from letta_grpc.transport.convert.agents import agent_to_pb
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.convert.tools import (
    new_tool_from_pb,
    outcome_to_pb,
    possession_from_pb,
    tool_id_from_pb,
    tool_to_pb,
    tool_update_from_pb,
    tools_query_from_pb,
    trial_from_pb,
)
from letta_grpc.transport.methods import Call
from letta_grpc.transport.rpc.pages import fitting
from letta_grpc.v1 import tool_service_pb2 as pb


class ToolServicer:
    """Keeps tools."""

    def __init__(self, tools: ToolRegistry, trials: ToolTrials) -> None:
        self._tools = tools
        self._trials = trials

    async def CreateTool(self, request: pb.CreateToolRequest, _call: Call) -> pb.CreateToolResponse:
        """Make a tool."""
        return pb.CreateToolResponse(tool=tool_to_pb(await self._tools.create(new_tool_from_pb(request))))

    async def UpsertTool(self, request: pb.UpsertToolRequest, _call: Call) -> pb.UpsertToolResponse:
        """Make a tool, or put it in the place of the one with its name."""
        return pb.UpsertToolResponse(tool=tool_to_pb(await self._tools.upsert(new_tool_from_pb(request))))

    async def GetTool(self, request: pb.GetToolRequest, _call: Call) -> pb.GetToolResponse:
        """Return a tool."""
        return pb.GetToolResponse(tool=tool_to_pb(await self._tools.get(tool_id_from_pb(request))))

    async def ListTools(self, request: pb.ListToolsRequest, _call: Call) -> pb.ListToolsResponse:
        """Return a page of tools."""
        page, name, tags = tools_query_from_pb(request)
        found = await fitting(page, lambda part: self._tools.list(part, name=name, tags=tags), tool_to_pb)
        return pb.ListToolsResponse(tools=found.items, next_page_token=token_of(found.next))

    async def UpdateTool(self, request: pb.UpdateToolRequest, _call: Call) -> pb.UpdateToolResponse:
        """Change a tool."""
        tool_id, changes = tool_update_from_pb(request)
        return pb.UpdateToolResponse(tool=tool_to_pb(await self._tools.update(tool_id, changes)))

    async def DeleteTool(self, request: pb.DeleteToolRequest, _call: Call) -> pb.DeleteToolResponse:
        """Remove a tool."""
        await self._tools.delete(tool_id_from_pb(request))
        return pb.DeleteToolResponse()

    async def AttachTool(self, request: pb.AttachToolRequest, _call: Call) -> pb.AttachToolResponse:
        """Give a tool to an agent."""
        agent_id, name = possession_from_pb(request)
        return pb.AttachToolResponse(agent=agent_to_pb(await self._tools.attach(agent_id, name)))

    async def DetachTool(self, request: pb.DetachToolRequest, _call: Call) -> pb.DetachToolResponse:
        """Take a tool from an agent."""
        agent_id, name = possession_from_pb(request)
        return pb.DetachToolResponse(agent=agent_to_pb(await self._tools.detach(agent_id, name)))

    async def SetToolApproval(self, request: pb.SetToolApprovalRequest, _call: Call) -> pb.SetToolApprovalResponse:
        """Say whether an agent's calls of a tool wait for approval."""
        agent_id, name = possession_from_pb(request)
        required = request.requires_approval if request.HasField("requires_approval") else None
        agent = await self._tools.set_approval(agent_id, name, required=required)
        return pb.SetToolApprovalResponse(agent=agent_to_pb(agent))

    async def RunTool(self, request: pb.RunToolRequest, _call: Call) -> pb.RunToolResponse:
        """Run a tool once."""
        return outcome_to_pb(await self._trials.run(trial_from_pb(request)))
