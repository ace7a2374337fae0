"""Agents and conversations for the load, made before anything is measured."""

import asyncio
from dataclasses import dataclass

import grpc.aio

from letta_grpc.bench.subjects import Server
from letta_grpc.v1 import agent_service_pb2, agent_service_pb2_grpc, conversation_service_pb2, conversation_service_pb2_grpc

_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAgents:
    """So many agents on the server of this address."""

    address: str
    count: int


async def create_agents(job: NewAgents) -> tuple[str, ...]:
    """Create agents as a newcomer would, with some memory and the base tools; return their ids."""
    async with grpc.aio.insecure_channel(job.address) as channel:
        stub = agent_service_pb2_grpc.AgentServiceStub(channel)
        request = agent_service_pb2.CreateAgentRequest()
        request.agent.model = "bench/bench-1-0"
        request.agent.memory_blocks.add(label="human", value="Likes short answers.")
        return tuple([(await stub.CreateAgent(request, wait_for_ready=True)).agent.id for _ in range(job.count)])


async def open_conversations(server: Server, count: int) -> list[tuple[str, str]]:
    """Open conversations, spread over the server's agents; return them with their agents."""
    gate = asyncio.Semaphore(_AT_ONCE)
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = conversation_service_pb2_grpc.ConversationServiceStub(channel)

        async def open_one(agent_id: str) -> tuple[str, str]:
            async with gate:
                request = conversation_service_pb2.CreateConversationRequest(agent_id=agent_id)
                return agent_id, (await stub.CreateConversation(request)).conversation.id

        agents = (server.agents[index % len(server.agents)] for index in range(count))
        return list(await asyncio.gather(*(open_one(agent_id) for agent_id in agents)))
