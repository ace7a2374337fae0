"""Agents, their memory and their messages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from letta_grpc.domain.agents import Agent, AgentKind, ModelSettings, Sleeptime, default_conversation
from letta_grpc.domain.blocks import Block
from letta_grpc.domain.context import Context
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import AgentId, ConversationId, new_agent_id
from letta_grpc.domain.memgpt import SEND_MESSAGE
from letta_grpc.domain.messages import Message
from letta_grpc.domain.paging import Page, PageRequest
from letta_grpc.domain.tool_rules import ToolRule
from letta_grpc.domain.tools import MAX_AGENT_TOOLS
from letta_grpc.engine.blocks import NewBlock, new_block
from letta_grpc.engine.contexts import describe_context
from letta_grpc.engine.models import check_model
from letta_grpc.ports.clock import Clock
from letta_grpc.ports.models import Models
from letta_grpc.ports.search import FoundMessage, MessageQuery, MessageSearch
from letta_grpc.ports.stores import AgentStore, BlockStore, ConversationStore, HistoryStore, MemoryStore
from letta_grpc.ports.tools import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAgent:
    """An agent to make. `tools` None means the base tools; with `base_tools` it has them beside `tools`.

    For an empty name or system the server takes one of its own.
    """

    name: str = ""
    description: str = ""
    system: str = ""
    model: str
    model_settings: ModelSettings = field(default_factory=ModelSettings)
    memory_blocks: tuple[NewBlock, ...] = ()
    tools: tuple[str, ...] | None = None
    base_tools: bool = False
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    context_window: int = 0
    timezone: str = "UTC"
    kind: AgentKind = AgentKind.REACT
    tool_rules: tuple[ToolRule, ...] = ()
    tool_approvals: Mapping[str, bool] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleeptime: Sleeptime | None = None


class Agents:
    """The use cases of agents."""

    def __init__(
        self,
        *,
        agents: AgentStore,
        conversations: ConversationStore,
        blocks: BlockStore,
        memory: MemoryStore,
        history: HistoryStore,
        messages: MessageSearch,
        models: Models,
        tools: Tools,
        clock: Clock,
    ) -> None:
        self._agents = agents
        self._conversations = conversations
        self._blocks = blocks
        self._memory = memory
        self._history = history
        self._messages = messages
        self._models = models
        self._tools = tools
        self._clock = clock

    async def create(self, new: NewAgent) -> Agent:
        """Make an agent, its default conversation and its new blocks.

        Raises what `planned` raises.
        """
        agent = await self.planned(new)
        return await self._agents.create(agent, default_conversation(agent))

    async def planned(self, new: NewAgent, *, further_tools: AbstractSet[str] = frozenset()) -> Agent:
        """Return the agent that `create` would store. It may also name `further_tools`, which the server does not have yet.

        Raises ModelUnknown, BlockNotFound for a block named by id, InvalidRequest for tools, labels or values.
        """
        check_model(self._models, new.model, "agent.model")
        tools = self._tools_of(new)
        await self._check_tools(tools, further_tools, has_voice=new.kind is AgentKind.MEMGPT)
        agent_id, now = new_agent_id(), self._clock.now()
        return Agent(
            id=agent_id,
            name=new.name or agent_id[: len("agent-") + 8],
            description=new.description,
            system=new.system or new.kind.default_system,
            model=new.model,
            model_settings=new.model_settings,
            memory_blocks=await self._blocks_of(new.memory_blocks),
            tools=tools,
            tags=new.tags,
            metadata=new.metadata,
            context_window=new.context_window,
            timezone=new.timezone,
            kind=new.kind,
            tool_rules=new.tool_rules,
            tool_approvals=new.tool_approvals,
            secrets=new.secrets,
            sleeptime=new.sleeptime,
            create_time=now,
            update_time=now,
        )

    def _tools_of(self, new: NewAgent) -> tuple[str, ...]:
        base = self._tools.base_tools() if new.base_tools or new.tools is None else ()
        names = tuple(dict.fromkeys((*(new.tools or ()), *base)))
        if len(names) > MAX_AGENT_TOOLS:
            rule = f"must have at most {MAX_AGENT_TOOLS}, has {len(names)} with the base tools"
            raise InvalidRequest(fields={"agent.tools": rule})
        return names

    async def _check_tools(self, names: Sequence[str], further: AbstractSet[str] = frozenset(), *, has_voice: bool) -> None:
        known = (await self._tools.load(names)).keys() | further | ({SEND_MESSAGE} if has_voice else set())
        unknown = {
            f"agent.tools[{index}]": f"this server has no tool {name!r}"
            for index, name in enumerate(names)
            if name not in known
        }
        if unknown:
            raise InvalidRequest(fields=unknown)

    async def _blocks_of(self, new_blocks: Sequence[NewBlock]) -> tuple[Block, ...]:
        blocks = [
            await self._blocks.get(new.id) if new.id else new_block(new, self._clock, f"agent.memory_blocks[{index}]")
            for index, new in enumerate(new_blocks)
        ]
        counts = Counter(block.label for block in blocks)
        doubled = {
            f"agent.memory_blocks[{index}].label": f"another block has the label {block.label!r} too"
            for index, block in enumerate(blocks)
            if counts[block.label] > 1
        }
        if doubled:
            raise InvalidRequest(fields=doubled)
        return tuple(blocks)

    async def get(self, agent_id: AgentId) -> Agent:
        """Return an agent. Raises AgentNotFound."""
        return await self._agents.get(agent_id)

    async def list(self, page: PageRequest, *, name: str | None = None, tags: Sequence[str] = ()) -> Page[Agent]:
        """Return a page of agents."""
        return await self._agents.list(page, name=name, tags=tags)

    async def update(self, agent_id: AgentId, changes: Mapping[str, object]) -> Agent:
        """Set the named fields, all or none. Raises what AgentStore.update raises, ModelUnknown, InvalidRequest for tools."""
        if isinstance(model := changes.get("model"), str):
            check_model(self._models, model, "agent.model")
        if isinstance(tools := changes.get("tools"), tuple):
            kind = changes.get("kind") or (await self._agents.get(agent_id)).kind
            await self._check_tools(tools, has_voice=kind is AgentKind.MEMGPT)
        return await self._agents.update(agent_id, changes, self._clock.now())

    async def delete(self, agent_id: AgentId) -> None:
        """Remove an agent with all but its blocks. Raises AgentNotFound, ResourceInUse."""
        await self._agents.delete(agent_id)

    async def get_block(self, agent_id: AgentId, label: str) -> Block:
        """Return the block under a label. Raises AgentNotFound, BlockNotFound."""
        return await self._memory.get(agent_id, label)

    async def update_block(
        self, agent_id: AgentId, label: str, changes: Mapping[str, object], expected_version: int | None = None
    ) -> Block:
        """Set the named fields of the block under a label. Raises as `Blocks.update`."""
        block = await self._memory.get(agent_id, label)
        return await self._blocks.update(block.id, changes, self._clock.now(), expected_version)

    async def list_messages(
        self, agent_id: AgentId, conversation_id: ConversationId | None, page: PageRequest
    ) -> Page[Message]:
        """Return a page of a conversation's messages. Raises AgentNotFound, ConversationNotFound."""
        conversation = await self._conversations.get(agent_id, conversation_id)
        return await self._history.list(conversation.id, page)

    async def list_all_messages(self, agent_id: AgentId, page: PageRequest) -> Page[Message]:
        """Return a page of the messages of all of an agent's conversations. Raises AgentNotFound."""
        await self._agents.get(agent_id)
        return await self._history.list_of_agent(agent_id, page)

    async def search_messages(self, query: MessageQuery, in_default: bool = False) -> tuple[FoundMessage, ...]:  # noqa: FBT001, FBT002 - stands for a conversation
        """Return the messages that fit best, best first. Raises AgentNotFound, ConversationNotFound.

        Without a conversation id all of the agent's are searched, or with `in_default` only its default one.
        """
        if query.agent_id is None:
            return await self._messages.search(query)
        if query.conversation_id is None and not in_default:
            await self._agents.get(query.agent_id)
            return await self._messages.search(query)
        conversation = await self._conversations.get(query.agent_id, query.conversation_id)
        return await self._messages.search(replace(query, conversation_id=conversation.id))

    async def reset_messages(self, agent_id: AgentId, conversation_id: ConversationId | None) -> None:
        """Empty a conversation and its context. Raises AgentNotFound, ConversationNotFound, ResourceInUse."""
        conversation = await self._conversations.get(agent_id, conversation_id)
        await self._history.reset(conversation.id)

    async def context(self, agent_id: AgentId, conversation_id: ConversationId | None) -> Context:
        """Return what the model would be shown now. Raises AgentNotFound, ConversationNotFound."""
        conversation = await self._conversations.get(agent_id, conversation_id)
        context = await self._history.load(conversation.id)
        return describe_context(context, await self._tools.load(context.agent.tools), self._models)
