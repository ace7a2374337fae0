"""Sleeptime: a second agent that shares the first one's blocks, and works on them after its turns."""

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import agents_pb2, blocks_pb2

_TOOLS = ("memory_insert", "memory_replace", "memory_rethink")
_PERSONA = blocks_pb2.Block(
    label="memory_persona",
    value="I look after the memory of another agent. After its turns I read what was said and keep the blocks that we share "
    "correct, complete and short.",
)


async def with_sleeptime(ask: Ask, agent: agents_pb2.Agent, *, wanted: bool) -> agents_pb2.Agent:
    """Return the agent with an agent that works in the background, or without. Raises Failure."""
    if wanted == bool(agent.sleeptime.agent_ids):
        return agent
    # An agent without background agents says so by an empty list; the second agent stays.
    ids = [(await _second(ask, agent)).id] if wanted else []
    change = agents_pb2.Agent(sleeptime=agents_pb2.Sleeptime(agent_ids=ids))
    request = pb.UpdateAgentRequest(agent_id=agent.id, agent=change, update_mask=FieldMask(paths=["sleeptime"]))
    return (await ask.call(ask.services.agents.UpdateAgent, request)).agent


async def _second(ask: Ask, agent: agents_pb2.Agent) -> agents_pb2.Agent:
    second = agents_pb2.Agent(
        name=f"{agent.name[:240]}-sleeptime",
        model=agent.model,
        tools=_TOOLS,
        timezone=agent.timezone,
        memory_blocks=[_PERSONA, *(blocks_pb2.Block(id=block.id) for block in agent.memory_blocks)],
    )
    request = pb.CreateAgentRequest(agent=second, include_base_tools=False)
    return (await ask.call(ask.services.agents.CreateAgent, request)).agent
