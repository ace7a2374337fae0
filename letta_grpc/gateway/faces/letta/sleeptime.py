"""Sleeptime: a second agent that shares the first one's blocks, and works on them after its turns."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import agents_pb2, block_service_pb2, blocks_pb2

_TOOLS = ("memory_insert", "memory_replace", "memory_rethink")
_PERSONA = blocks_pb2.Block(
    label="memory_persona",
    value="I look after the memory of another agent. After its turns I read what was said and keep the blocks that we share "
    "correct, complete and short.",
)


@asynccontextmanager
async def sleeptime_among(
    ask: Ask, agent: agents_pb2.Agent, changes: agents_pb2.Agent, names: list[str]
) -> AsyncIterator[None]:
    """Add to an agent's changes what a body says of a second agent, which stays only if they are stored. Raises Failure."""
    wanted = ask.body.get("enable_sleeptime")
    if not isinstance(wanted, bool) or wanted == bool(agent.sleeptime.agent_ids):
        yield
        return
    changed = agents_pb2.Agent()
    changed.CopyFrom(agent)
    FieldMask(paths=names).MergeMessage(changes, changed, replace_message_field=True, replace_repeated_field=True)
    names.append("sleeptime")
    # An agent without background agents says so by an empty list; the second agent stays.
    changes.sleeptime.SetInParent()
    if not wanted:
        yield
        return
    second = await _second(ask, changed)
    changes.sleeptime.agent_ids.append(second.id)
    async with removed_on_failure(ask, second, {block.id for block in changed.memory_blocks}):
        yield


@asynccontextmanager
async def removed_on_failure(ask: Ask, agent: agents_pb2.Agent, others: Collection[str]) -> AsyncIterator[None]:
    """Remove an agent that was just made, and its blocks beside those of `others`, if what is done with it fails."""
    try:
        yield
    except Failure:
        with suppress(Failure):
            await ask.call(ask.services.agents.DeleteAgent, pb.DeleteAgentRequest(agent_id=agent.id))
            for block_id in (block.id for block in agent.memory_blocks if block.id not in others):
                await ask.call(ask.services.blocks.DeleteBlock, block_service_pb2.DeleteBlockRequest(block_id=block_id))
        raise


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
