"""AgentService."""

# ruff: noqa: N802 - methods are named as the contract names them

import asyncio
from functools import partial

from letta_grpc.engine.agent_files import AgentFiles
from letta_grpc.engine.agents import Agents
from letta_grpc.engine.captures import Captures
from letta_grpc.engine.runs import Runs
from letta_grpc.transport.convert.agent_files import file_to_pb, import_from_pb
from letta_grpc.transport.convert.agents import (
    agent_id_from_pb,
    agent_to_pb,
    agent_update_from_pb,
    agents_query_from_pb,
    new_agent_from_pb,
)
from letta_grpc.transport.convert.blocks import block_to_pb, memory_from_pb, memory_update_from_pb
from letta_grpc.transport.convert.captures import capture_from_pb
from letta_grpc.transport.convert.compactions import agent_compaction_from_pb
from letta_grpc.transport.convert.contexts import context_query_from_pb, context_to_pb, reset_from_pb
from letta_grpc.transport.convert.message_queries import message_list_from_pb, message_search_from_pb
from letta_grpc.transport.convert.messages import found_message_to_pb, message_to_pb
from letta_grpc.transport.convert.paging import token_of
from letta_grpc.transport.convert.runs import run_to_pb
from letta_grpc.transport.methods import Call
from letta_grpc.transport.rpc.pages import fitting, that_fit
from letta_grpc.v1 import agent_service_pb2 as pb


class AgentServicer:
    """Keeps agents and shows what they remember."""

    def __init__(self, agents: Agents, runs: Runs, captures: Captures, files: AgentFiles) -> None:
        self._agents = agents
        self._runs = runs
        self._captures = captures
        self._files = files

    async def CreateAgent(self, request: pb.CreateAgentRequest, _call: Call) -> pb.CreateAgentResponse:
        """Make an agent."""
        return pb.CreateAgentResponse(agent=agent_to_pb(await self._agents.create(new_agent_from_pb(request))))

    async def GetAgent(self, request: pb.GetAgentRequest, _call: Call) -> pb.GetAgentResponse:
        """Return an agent."""
        return pb.GetAgentResponse(agent=agent_to_pb(await self._agents.get(agent_id_from_pb(request))))

    async def ListAgents(self, request: pb.ListAgentsRequest, _call: Call) -> pb.ListAgentsResponse:
        """Return a page of agents."""
        page, name, tags = agents_query_from_pb(request)
        found = await fitting(page, lambda part: self._agents.list(part, name=name, tags=tags), agent_to_pb)
        return pb.ListAgentsResponse(agents=found.items, next_page_token=token_of(found.next))

    async def UpdateAgent(self, request: pb.UpdateAgentRequest, _call: Call) -> pb.UpdateAgentResponse:
        """Change an agent."""
        agent_id, changes = agent_update_from_pb(request)
        return pb.UpdateAgentResponse(agent=agent_to_pb(await self._agents.update(agent_id, changes)))

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, _call: Call) -> pb.DeleteAgentResponse:
        """Remove an agent."""
        await self._agents.delete(agent_id_from_pb(request))
        return pb.DeleteAgentResponse()

    async def GetMemoryBlock(self, request: pb.GetMemoryBlockRequest, _call: Call) -> pb.GetMemoryBlockResponse:
        """Return an agent's block."""
        agent_id, label = memory_from_pb(request)
        return pb.GetMemoryBlockResponse(block=block_to_pb(await self._agents.get_block(agent_id, label)))

    async def UpdateMemoryBlock(self, request: pb.UpdateMemoryBlockRequest, _call: Call) -> pb.UpdateMemoryBlockResponse:
        """Change an agent's block."""
        agent_id, label, changes, version = memory_update_from_pb(request)
        changed = await self._agents.update_block(agent_id, label, changes, version)
        return pb.UpdateMemoryBlockResponse(block=block_to_pb(changed))

    async def ListMessages(self, request: pb.ListMessagesRequest, _call: Call) -> pb.ListMessagesResponse:
        """Return a page of messages."""
        wanted = message_list_from_pb(request)
        of_all = partial(self._agents.list_all_messages, wanted.agent_id)
        of_one = partial(self._agents.list_messages, wanted.agent_id, wanted.conversation_id)
        found = await fitting(wanted.page, of_all if wanted.of_all else of_one, message_to_pb)
        return pb.ListMessagesResponse(messages=found.items, next_page_token=token_of(found.next))

    async def SearchMessages(self, request: pb.SearchMessagesRequest, _call: Call) -> pb.SearchMessagesResponse:
        """Find messages."""
        query, in_default = message_search_from_pb(request)
        found = await self._agents.search_messages(query, in_default)
        return pb.SearchMessagesResponse(results=that_fit(map(found_message_to_pb, found)))

    async def ResetMessages(self, request: pb.ResetMessagesRequest, _call: Call) -> pb.ResetMessagesResponse:
        """Empty a conversation."""
        agent_id, conversation_id = reset_from_pb(request)
        await self._agents.reset_messages(agent_id, conversation_id)
        return pb.ResetMessagesResponse()

    async def CompactAgent(self, request: pb.CompactAgentRequest, call: Call) -> pb.CompactAgentResponse:
        """Start a run that compacts a conversation."""
        run = await self._runs.start(agent_compaction_from_pb(request, call.traceparent))
        return pb.CompactAgentResponse(run=run_to_pb(run))

    async def CaptureMessages(self, request: pb.CaptureMessagesRequest, call: Call) -> pb.CaptureMessagesResponse:
        """Put in a turn that happened elsewhere."""
        return pb.CaptureMessagesResponse(run=run_to_pb(await self._captures.capture(capture_from_pb(request, call))))

    async def ExportAgent(self, request: pb.ExportAgentRequest, _call: Call) -> pb.ExportAgentResponse:
        """Return an agent as a file."""
        messages, passages = not request.omit_messages, not request.omit_passages
        file = await self._files.export(agent_id_from_pb(request), messages=messages, passages=passages)
        # Aside: of a long life it takes seconds, and all runs would wait.
        return await asyncio.to_thread(lambda: pb.ExportAgentResponse(file=file_to_pb(file)))

    async def ImportAgent(self, request: pb.ImportAgentRequest, _call: Call) -> pb.ImportAgentResponse:
        """Make an agent of a file."""
        # Aside, too.
        wanted = await asyncio.to_thread(import_from_pb, request)
        return pb.ImportAgentResponse(agent=agent_to_pb(await self._files.import_(wanted)))

    async def GetContext(self, request: pb.GetContextRequest, _call: Call) -> pb.GetContextResponse:
        """Return what the model would be shown."""
        agent_id, conversation_id, fields = context_query_from_pb(request)
        return pb.GetContextResponse(context=context_to_pb(await self._agents.context(agent_id, conversation_id), fields))
