"""Building what the model is shown."""

from collections.abc import Iterable, Mapping
from itertools import takewhile

from letta_grpc.domain import memgpt
from letta_grpc.domain.agents import DEFAULT_CONTEXT_WINDOW, AgentKind
from letta_grpc.domain.completions import ANY_TOOL, ModelRequest, ToolDefinition
from letta_grpc.domain.context import (
    Context,
    ContextPart,
    compile_system,
    estimate_message_tokens,
    estimate_tokens,
    estimate_tool_tokens,
)
from letta_grpc.domain.history import make_whole
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.runs import RunSpec
from letta_grpc.engine.turn import Turn
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import AgentContext


def model_request(context: AgentContext, spec: RunSpec, *, model: str, turn: Turn) -> ModelRequest:
    """Return the call of the model that continues a conversation. `model` is the provider's name of it."""
    agent, offer = context.agent, turn.offer()
    tools = [turn.toolbox.definitions[name] for name in offer.tools]
    speaks_by_tools = agent.kind is AgentKind.MEMGPT and bool(tools)
    return ModelRequest(
        model=model,
        system=compile_system(agent.system if spec.system is None else spec.system, agent.memory_blocks),
        messages=_shown_messages(context),
        tools=_shown_tools(agent.kind, tools),
        tool_choice=offer.choice or (ANY_TOOL if speaks_by_tools else None),
        response_format=spec.response_format,
        settings=agent.model_settings,
        timezone=agent.timezone,
    )


def _shown_messages(context: AgentContext) -> tuple[Message, ...]:
    messages = make_whole(context.messages)
    return memgpt.as_shown(messages) if context.agent.kind is AgentKind.MEMGPT else messages


def _shown_tools(kind: AgentKind, tools: Iterable[ToolDefinition]) -> tuple[ToolDefinition, ...]:
    return tuple(map(memgpt.extended, tools)) if kind is AgentKind.MEMGPT else tuple(tools)


def window_of(context: AgentContext, handle: str, models: Models) -> int:
    """Return how many tokens fit into a context for this model: as the agent says, else as the model says, else a guess."""
    return context.agent.context_window or models.context_window(handle) or DEFAULT_CONTEXT_WINDOW


def estimate_request_tokens(request: ModelRequest) -> int:
    """Return a rough count of a whole context."""
    tools = sum(estimate_tool_tokens(tool) for tool in request.tools)
    return estimate_tokens(request.system) + tools + sum(estimate_message_tokens(message) for message in request.messages)


def context_tokens(context: AgentContext, request: ModelRequest) -> int:
    """Return how many tokens a context has: the provider's count at the last call and what came since, or else an estimate."""
    if context.reported_tokens is None:
        return estimate_request_tokens(request)
    said = (Role.ASSISTANT, Role.APPROVAL)
    since = takewhile(lambda message: message.role not in said or _is_answer(message), reversed(context.messages))
    # What an answer brings to the model stands in the tool message behind it.
    return context.reported_tokens + sum(estimate_message_tokens(message) for message in since if not _is_answer(message))


def _is_answer(message: Message) -> bool:
    return message.role is Role.APPROVAL and not message.tool_calls


def describe_context(context: AgentContext, tools: Mapping[str, ToolDefinition], models: Models) -> Context:
    """Return what the model would be shown now, and what each part costs. `tools` are the agent's."""
    agent = context.agent
    system = compile_system(agent.system, agent.memory_blocks)
    own = {memgpt.SEND_MESSAGE: memgpt.SEND_MESSAGE_TOOL} if agent.kind is AgentKind.MEMGPT else {}
    definitions = _shown_tools(agent.kind, {**tools, **own}.values())
    messages = _shown_messages(context)
    summaries = [message for message in context.messages if message.role is Role.SUMMARY]
    summary = sum(estimate_message_tokens(message) for message in summaries)
    costs = {
        "instructions": estimate_tokens(agent.system),
        "memory": estimate_tokens(system[len(agent.system) :]),
        "tools": sum(estimate_tool_tokens(tool) for tool in definitions),
        "summary": summary,
        "messages": sum(estimate_message_tokens(message) for message in messages) - summary,
    }
    return Context(
        system=system,
        messages=messages,
        tools=definitions,
        parts=tuple(ContextPart(name=name, estimated_tokens=cost) for name, cost in costs.items()),
        context_window=window_of(context, context.conversation.model or agent.model, models),
        reported_tokens=context.reported_tokens,
    )
