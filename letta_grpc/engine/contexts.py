"""Building what the model is shown."""

from collections.abc import Mapping

from letta_grpc.domain.agents import DEFAULT_CONTEXT_WINDOW
from letta_grpc.domain.completions import ModelRequest, ToolDefinition
from letta_grpc.domain.context import (
    Context,
    ContextPart,
    compile_system,
    estimate_message_tokens,
    estimate_tokens,
)
from letta_grpc.domain.history import make_whole
from letta_grpc.domain.runs import RunSpec
from letta_grpc.engine.toolbox import Toolbox
from letta_grpc.ports.models import Models
from letta_grpc.ports.stores import AgentContext


def model_request(context: AgentContext, spec: RunSpec, *, model: str, toolbox: Toolbox) -> ModelRequest:
    """Return the call of the model that continues a conversation. `model` is the provider's name of it."""
    agent = context.agent
    return ModelRequest(
        model=model,
        system=compile_system(agent.system if spec.system is None else spec.system, agent.memory_blocks),
        messages=make_whole(context.messages),
        tools=tuple(toolbox.definitions.values()),
        response_format=spec.response_format,
        settings=agent.model_settings,
        timezone=agent.timezone,
    )


def describe_context(context: AgentContext, tools: Mapping[str, ToolDefinition], models: Models) -> Context:
    """Return what the model would be shown now, and what each part costs. `tools` are the agent's."""
    agent = context.agent
    system = compile_system(agent.system, agent.memory_blocks)
    definitions = tuple(tools.values())
    messages = make_whole(context.messages)
    costs = {
        "instructions": estimate_tokens(agent.system),
        "memory": estimate_tokens(system[len(agent.system) :]),
        "tools": sum(estimate_tokens(tool.name + tool.description + tool.parameters) for tool in definitions),
        "messages": sum(estimate_message_tokens(message) for message in messages),
    }
    handle = context.conversation.model or agent.model
    return Context(
        system=system,
        messages=messages,
        tools=definitions,
        parts=tuple(ContextPart(name=name, estimated_tokens=cost) for name, cost in costs.items()),
        context_window=agent.context_window or models.context_window(handle) or DEFAULT_CONTEXT_WINDOW,
        reported_tokens=context.reported_tokens,
    )
