"""Agents and their conversations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from letta_grpc.domain.blocks import Block
from letta_grpc.domain.ids import AgentId, ConversationId

DEFAULT_CONTEXT_WINDOW = 32_768

DEFAULT_SYSTEM = """\
You are an agent with a memory of your own. What you know for good stands in the memory blocks at the end of this text; \
you see them in every turn and you alone keep them in order.
When you learn something that will matter later, write it into the fitting block with your memory tools, and correct what \
has become wrong. Whatever does not need to be before your eyes all the time belongs into your archive. Of the conversation \
you may see only the newest part: search it when somebody refers to what came before.
Answer the person directly, in their language. Do not mention your memory or your tools unless you are asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """How a model is asked. None leaves it to the provider."""

    temperature: float | None = None
    max_output_tokens: int | None = None
    parallel_tool_calls: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A model, instructions, memory and tools. `context_window` is in tokens; 0 means the model's own."""

    id: AgentId
    name: str
    description: str = ""
    system: str
    model: str
    model_settings: ModelSettings = ModelSettings()
    memory_blocks: tuple[Block, ...] = ()
    tools: tuple[str, ...] = ()
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
