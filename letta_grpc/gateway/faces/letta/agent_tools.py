"""The tools of an agent."""

from collections.abc import Sequence

import orjson

from letta_grpc.gateway.faces.letta.agent_requests import tool_names
from letta_grpc.gateway.faces.letta.agents import agent_of, shown
from letta_grpc.gateway.faces.letta.errors import not_found, unprocessable
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages_in_memory import page_of
from letta_grpc.gateway.faces.letta.targets import agent_in
from letta_grpc.gateway.faces.letta.toolboxes import tools_of
from letta_grpc.gateway.faces.letta.tools import outcome_json
from letta_grpc.v1 import tool_service_pb2 as pb


async def list_tools(ask: Ask) -> Json:
    """List the tools of an agent."""
    return page_of(ask, await tools_of(ask, await agent_of(ask)), limit=100, order="asc")


async def attach(ask: Ask) -> Json:
    """Give a tool to an agent."""
    request = pb.AttachToolRequest(agent_id=agent_in(ask).agent_id, name=await _name(ask))
    return await shown(ask, (await ask.call(ask.services.tools.AttachTool, request)).agent)


async def detach(ask: Ask) -> Json:
    """Take a tool from an agent."""
    request = pb.DetachToolRequest(agent_id=agent_in(ask).agent_id, name=await _name(ask))
    return await shown(ask, (await ask.call(ask.services.tools.DetachTool, request)).agent)


async def _name(ask: Ask) -> str:
    (name,) = await tool_names(ask, [ask.path_id("tool")])
    return name


async def set_approval(ask: Ask) -> Json:
    """Say whether an agent's calls of a tool wait for approval, in the body or in the query."""
    # The TypeScript SDK sends its parameter by the name that it has there.
    given = (ask.body.get(name) for name in ("requires_approval", "body_requires_approval"))
    required = next((value for value in given if value is not None), ask.flag("requires_approval"))
    if not isinstance(required, bool):
        raise unprocessable("requires_approval", "is required: true or false")
    request = pb.SetToolApprovalRequest(
        agent_id=agent_in(ask).agent_id, name=ask.path("tool_name"), requires_approval=required
    )
    return await shown(ask, (await ask.call(ask.services.tools.SetToolApproval, request)).agent)


async def run(ask: Ask) -> Json:
    """Run a tool of an agent once, to try it out."""
    name, agent = ask.path("tool_name"), await agent_of(ask)
    if name not in agent.tools:
        raise not_found(f"{agent.name} has no tool {name!r}.")
    # It knows its agent, as it does in a turn.
    whose = {"LETTA_AGENT_ID": agent.id}
    request = pb.RunToolRequest(name=name, arguments=orjson.dumps(ask.body.get("args") or {}).decode(), secrets=whose)
    return outcome_json(await ask.call(ask.services.tools.RunTool, request))


_TOOLS = "/v1/agents/{agent_id}/tools"
OPERATIONS: Sequence[Operation] = (
    Operation("GET", _TOOLS, list_tools),
    Operation("PATCH", f"{_TOOLS}/attach/{{tool_id}}", attach),
    Operation("PATCH", f"{_TOOLS}/detach/{{tool_id}}", detach),
    Operation("PATCH", f"{_TOOLS}/approval/{{tool_name}}", set_approval, "holds also for tools that the agent gets later"),
    Operation(
        "POST", f"{_TOOLS}/{{tool_name}}/run", run, differs="without the agent's secrets; built-in tools only run in turns"
    ),
)
