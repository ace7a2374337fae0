"""Taking agents out of a server and into one."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import dropwhile

from letta_grpc.domain.agent_files import (
    AgentFile,
    ConversationFile,
    Import,
    ImportedConversation,
    imported_conversation,
    new_passages,
)
from letta_grpc.domain.agents import Agent, Conversation, default_conversation
from letta_grpc.domain.errors import AgentNotFound, InvalidRequest
from letta_grpc.domain.forking import WholeConversation
from letta_grpc.domain.ids import AgentId, MessageId
from letta_grpc.domain.messages import Role
from letta_grpc.domain.passages import Passage
from letta_grpc.domain.tools import PythonSource, Tool
from letta_grpc.engine.agents import Agents, NewAgent
from letta_grpc.engine.pages import items_of
from letta_grpc.engine.tools import NewTool, new_tool
from letta_grpc.ports.agent_files import AgentImporter
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.stores import ConversationStore, HistoryStore, PassageStore
from letta_grpc.ports.tool_store import NamedTools
from letta_grpc.ports.tools import OwnTools


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """An agent to import from a file. Its tools have the names and descriptions that stand there."""

    agent: NewAgent
    tools: tuple[NewTool, ...] = ()
    conversations: tuple[ConversationFile, ...] = ()
    passages: tuple[Passage, ...] = ()
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)


class AgentFiles:
    """The use cases of agent files."""

    def __init__(
        self,
        *,
        agents: Agents,
        conversations: ConversationStore,
        history: HistoryStore,
        passages: PassageStore,
        tools: NamedTools,
        own_tools: OwnTools,
        importer: AgentImporter,
        clock: Clock,
    ) -> None:
        self._agents = agents
        self._conversations = conversations
        self._history = history
        self._passages = passages
        self._tools = tools
        self._own_tools = own_tools
        self._importer = importer
        self._clock = clock

    async def export(self, agent_id: AgentId, *, messages: bool = True, passages: bool = True) -> AgentFile:
        """Return an agent with all that is its own. Raises AgentNotFound."""
        agent = await self._agents.get(agent_id)
        conversations = [conversation async for conversation in items_of(partial(self._conversations.list, agent_id))]
        notes = [note async for note in items_of(partial(self._passages.list, agent_id))] if passages else []
        found = {tool.name: tool for tool in await self._tools.find(agent.tools)}
        return AgentFile(
            agent=agent,
            tools=tuple(found[name] for name in agent.tools if name in found and isinstance(found[name].source, PythonSource)),
            conversations=tuple([await self._exported(conversation, messages=messages) for conversation in conversations]),
            passages=tuple(notes),
        )

    async def _exported(self, conversation: Conversation, *, messages: bool) -> ConversationFile:
        if not messages:
            return ConversationFile(conversation=conversation)
        # In one read: a conversation may be at work, or be compacted, meanwhile.
        whole = await self._history.whole(conversation.id)
        return ConversationFile(conversation=conversation, messages=whole.messages, context_ids=tuple(_context_of(whole)))

    async def import_(self, request: ImportRequest) -> Agent:
        """Make an agent of what a file holds, all of it or nothing. Raises InvalidRequest, ModelUnknown."""
        missing = await self._missing(request.tools)
        new = replace(request.agent, secrets=request.secrets)
        agent = await self._agents.planned(new, further_tools={tool.name for tool in request.tools})
        agent = await self._with_sleeptime_that_is_here(agent)
        # Aside: of a long life it takes half a second, and all runs would wait.
        conversations = await asyncio.to_thread(_imported, request.conversations, agent)
        passages = new_passages(request.passages, agent.id)
        return await self._importer.put(
            Import(agent=agent, tools=missing, conversations=tuple(conversations), passages=passages)
        )

    async def _missing(self, tools: Sequence[NewTool]) -> tuple[Tool, ...]:
        """Return the tools that are not here yet. Raises InvalidRequest for one that is another here."""
        known = {tool.name: tool for tool in await self._tools.find([new.name for new in tools])}
        own = set(self._own_tools.names())
        taken = {
            f"file.tools[{index}].name": f"this server has another tool {new.name!r}"
            for index, new in enumerate(tools)
            if new.name in own or (new.name in known and not _is_same(known[new.name], new))
        }
        if taken:
            raise InvalidRequest(fields=taken)
        return tuple(new_tool(new, self._clock) for new in tools if new.name not in known)

    async def _with_sleeptime_that_is_here(self, agent: Agent) -> Agent:
        """Return the agent with those of its background agents that this server has."""
        if agent.sleeptime is None:
            return agent
        here = [agent_id for agent_id in agent.sleeptime.agent_ids if await self._has(agent_id)]
        return replace(agent, sleeptime=replace(agent.sleeptime, agent_ids=tuple(here)) if here else None)

    async def _has(self, agent_id: AgentId) -> bool:
        try:
            await self._agents.get(agent_id)
        except AgentNotFound:
            return False
        return True


def _imported(files: Sequence[ConversationFile], agent: Agent) -> Sequence[ImportedConversation]:
    if not files:
        return [ImportedConversation(conversation=default_conversation(agent))]
    return [imported_conversation(file, agent, agent.create_time) for file in files]


def _context_of(conversation: WholeConversation) -> Iterator[MessageId]:
    """Yield what stands in a context that was compacted: its summary, and whatever of the messages stays behind it."""
    if conversation.summary_id is None:
        return
    yield conversation.summary_id
    begin = conversation.kept_from or conversation.summary_id
    for message in dropwhile(lambda message: message.id != begin, conversation.messages):
        if message.role is not Role.SUMMARY:
            yield message.id


def _is_same(tool: Tool, new: NewTool) -> bool:
    return (tool.source, tool.parameters, tool.description) == (new.source, new.parameters, new.description)
