"""Agents."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.shapes.agents import agent_json
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import agents_pb2, blocks_pb2


async def create(ask: Ask) -> Json:
    """Make an agent."""
    body = ask.body
    agent = agents_pb2.Agent(
        name=body.get("name") or "",
        model=body.get("model") or "",
        system=body.get("system") or "",
        description=body.get("description") or "",
        tags=body.get("tags") or (),
        tools=body.get("tools") or (),
        memory_blocks=[
            blocks_pb2.Block(label=block.get("label"), value=block.get("value")) for block in body.get("memory_blocks") or ()
        ],
    )
    request = pb.CreateAgentRequest(agent=agent, include_base_tools=body.get("include_base_tools"))
    return agent_json((await ask.call(ask.services.agents.CreateAgent, request)).agent)


async def retrieve(ask: Ask) -> Json:
    """Show an agent."""
    request = pb.GetAgentRequest(agent_id=checked_id("agent", ask.path("agent_id")))
    return agent_json((await ask.call(ask.services.agents.GetAgent, request)).agent)


OPERATIONS: Sequence[Operation] = (
    Operation("POST", "/v1/agents/", create),
    Operation("GET", "/v1/agents/{agent_id}", retrieve),
)
