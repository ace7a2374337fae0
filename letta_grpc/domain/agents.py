"""Agents and their conversations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.enums import IdentityEnum
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.ids import AgentId, ConversationId, new_conversation_id
from letta_grpc.domain.tool_rules import ToolRule

DEFAULT_CONTEXT_WINDOW = 32_768
# Of names and values, in UTF-8.
MAX_SECRETS_BYTES = 65_536

DEFAULT_SYSTEM = """\
You are an agent with a memory of your own. What you know for good stands in the memory blocks at the end of this text; \
you see them in every turn and you alone keep them in order.
When you learn something that will matter later, write it into the fitting block with your memory tools, and correct what \
has become wrong. Whatever does not need to be before your eyes all the time belongs into your archive. Of the conversation \
you may see only the newest part: search it when somebody refers to what came before.
Answer the person directly, in their language. Do not mention your memory or your tools unless you are asked."""

DEFAULT_MEMGPT_SYSTEM = """\
You are an agent with a memory of your own, and you act by calling tools alone. Nobody but you reads what you write \
outside of them.
To say something to the person, call send_message; it is your only voice. Speak their language, and do not mention \
your memory or your tools unless you are asked.
Every call begins with what you think: a sentence or two in `thinking`, for yourself. After a call your turn ends, and \
you sleep until something happens. If you have more to do first, such as saying what you found, set \
`request_heartbeat` to true: then you get control back at once. A message of the type `heartbeat` is that, and not the \
person; never answer it.
What you know for good stands in the memory blocks at the end of this text; you see them in every turn and you alone \
keep them in order. When you learn something that will matter later, write it into the fitting block with your memory \
tools, and correct what has become wrong. Whatever does not need to be before your eyes all the time belongs into your \
archive. Of the conversation you may see only the newest part: search it when somebody refers to what came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How a model is asked. None leaves it to the provider."""

    temperature: float | None = None
    max_output_tokens: int | None = None
    parallel_tool_calls: bool | None = None
    # `none`, `minimal`, `low`, `medium`, `high` or `xhigh`, as far as the model knows them.
    reasoning_effort: str | None = None


class AgentKind(IdentityEnum):
    """How an agent speaks."""

    # In plain words; tools beside them; a turn ends when no tool is called.
    REACT = "react"
    # By tools alone: `send_message` speaks, `request_heartbeat` goes on, inner thoughts are an argument.
    MEMGPT = "memgpt"

    @property
    def default_system(self) -> str:
        """The instructions of an agent that is given none."""
        return DEFAULT_SYSTEM if self is AgentKind.REACT else DEFAULT_MEMGPT_SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleeptime:
    """Agents that work on shared memory in the background, each time after `every_turns` turns."""

    agent_ids: tuple[AgentId, ...] = ()
    every_turns: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A model, instructions, memory and tools. `context_window` is in tokens; 0 means the model's own.

    `tool_approvals` overrides per tool whether it needs approval. `secrets` are given to tools that declare their names; they
    are never shown.
    """

    id: AgentId
    name: str
    description: str = ""
    system: str
    model: str
    model_settings: ModelSettings = ModelSettings()
    memory_blocks: tuple[Block, ...] = ()
    kind: AgentKind = AgentKind.REACT
    tools: tuple[str, ...] = ()
    tool_rules: tuple[ToolRule, ...] = ()
    tool_approvals: Mapping[str, bool] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    sleeptime: Sleeptime | None = None
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    context_window: int = 0
    timezone: str = "UTC"
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A thread of an agent. An empty `model` means the agent's."""

    id: ConversationId
    agent_id: AgentId
    title: str = ""
    is_default: bool = False
    model: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    create_time: datetime
    update_time: datetime


def default_conversation(agent: Agent) -> Conversation:
    """Return the conversation that an agent is made with."""
    time = agent.create_time
    return Conversation(id=new_conversation_id(), agent_id=agent.id, is_default=True, create_time=time, update_time=time)


def changed_agent(agent: Agent, changes: Mapping[str, Any], update_time: datetime) -> Agent:
    """Return the agent with these fields set. Raises InvalidRequest for secrets that are too large in all.

    A secret that comes without a value keeps the one that it has: nobody who writes back what he has read was shown any.
    """
    if "secrets" in changes:
        secrets = {name: value or agent.secrets.get(name, "") for name, value in changes["secrets"].items()}
        size = sum(len(name.encode()) + len(value.encode()) for name, value in secrets.items())
        if size > MAX_SECRETS_BYTES:
            rule = f"must have at most {MAX_SECRETS_BYTES} bytes in all, has {size} with the values that stay"
            raise InvalidRequest(fields={"agent.secrets": rule})
        changes = {**changes, "secrets": secrets}
    return replace(agent, **changes, update_time=update_time)
