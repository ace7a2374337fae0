"""Turns that happened elsewhere: put into an agent's conversation, so that it remembers them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from letta_grpc.domain.agents import Agent
from letta_grpc.domain.errors import ModelUnknown
from letta_grpc.domain.ids import AgentId, ConversationId
from letta_grpc.domain.messages import Role, SpokenInput, TextPart
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import ConflictPolicy, Run, RunKind, RunSpec
from letta_grpc.engine.agents import Agents, NewAgent
from letta_grpc.engine.blocks import NewBlock
from letta_grpc.engine.runs import Runs
from letta_grpc.engine.starts import StartRequest
from letta_grpc.ports.models import Models

TAG = "claude-code"
_DESCRIPTION = "Remembers what was said to a coding assistant, and by it."
# The model of a capture agent where the model that spoke is not known here. What it answers says that it is no model.
_FALLBACK_MODEL = "scripted/echo"
# The provider whose models a proxied caller names without one.
_PROXIED_PROVIDER = "anthropic"
_BLOCKS = (
    NewBlock(label="human", description="Who the person is, and how they like to work.", value="Nothing is known yet."),
    NewBlock(label="persona", description="How to behave.", value="I remember what was worked on and how."),
    NewBlock(label="project", description="What is being worked on: its parts, rules and decisions.", value="Nothing yet."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A turn that happened elsewhere. Without an agent it belongs to the capture agent of `key`."""

    agent_id: AgentId | None = None
    conversation_id: ConversationId | None = None
    key: str = ""
    request_id: str | None = None
    user_texts: tuple[str, ...]
    assistant_text: str = ""
    model: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    traceparent: str | None = None


class Captures:
    """The use case of captured turns."""

    def __init__(self, *, agents: Agents, runs: Runs, models: Models) -> None:
        self._agents = agents
        self._runs = runs
        self._models = models
        self._making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def capture(self, capture: Capture) -> Run:
        """Start the run that puts a turn into its conversation, behind other runs. Raises what `Runs.start` raises."""
        agent_id = capture.agent_id or (await self._agent_of(capture.key, capture.model)).id
        said = [SpokenInput(role=Role.USER, content=(TextPart(text),)) for text in capture.user_texts]
        if capture.assistant_text:
            said.append(SpokenInput(role=Role.ASSISTANT, content=(TextPart(capture.assistant_text),)))
        spec = RunSpec(
            messages=tuple(said),
            kind=RunKind.CAPTURE,
            conflict_policy=ConflictPolicy.ENQUEUE,
            model=capture.model,
            metadata=capture.metadata,
        )
        request = StartRequest(
            agent_id=agent_id,
            conversation_id=capture.conversation_id,
            request_id=capture.request_id,
            spec=spec,
            traceparent=capture.traceparent,
        )
        return await self._runs.start(request)

    async def _agent_of(self, key: str, model: str | None) -> Agent:
        """Return the capture agent of a key. It is made on first use, only once however many ask for it."""
        name = f"{TAG}-{key or 'default'}"
        lock = self._making.setdefault(name, asyncio.Lock())
        async with lock:
            found = await self._agents.list(PageRequest(size=1), name=name, tags=(TAG,))
            if found.items:
                return found.items[0]
            new = NewAgent(
                name=name,
                description=_DESCRIPTION,
                model=self._handle(model),
                memory_blocks=_BLOCKS,
                tags=(TAG,),
            )
            return await self._agents.create(new)

    def _handle(self, model: str | None) -> str:
        """Return the handle of the model that spoke, if it is known here."""
        for handle in (model, f"{_PROXIED_PROVIDER}/{model}") if model else ():
            try:
                self._models.resolve(handle)
            except ModelUnknown:
                continue
            return handle
        return _FALLBACK_MODEL
