"""Request body → an agent as the contract has it: whole where it is to be made, in parts where it is to be changed."""

from collections.abc import Mapping
from typing import Any

from letta_grpc.gateway.faces.letta.errors import not_here, unprocessable
from letta_grpc.gateway.faces.letta.fields import Body, few, filled, mapping, objects, required_text, strings, text
from letta_grpc.gateway.faces.letta.handles import handle_in, resolved
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.limits import set_defaults
from letta_grpc.gateway.faces.letta.operations import Ask, together
from letta_grpc.gateway.faces.letta.shapes.metadata import kept_metadata
from letta_grpc.gateway.faces.letta.tool_rules import approvals_of, rules_of
from letta_grpc.v1 import agents_pb2, blocks_pb2, tool_service_pb2

REACT, MEMGPT = agents_pb2.AGENT_KIND_REACT, agents_pb2.AGENT_KIND_MEMGPT
KINDS: "Mapping[str, agents_pb2.AgentKind.ValueType]" = {
    "letta_v1_agent": REACT,
    "react_agent": REACT,
    "sleeptime_agent": REACT,
    "workflow_agent": REACT,
    "split_thread_agent": REACT,
    "memgpt_agent": MEMGPT,
    "memgpt_v2_agent": MEMGPT,
}
_PLAIN = ("name", "description", "system", "timezone", "tags")
_MULTI_AGENT = ("send_message_to_agent_and_wait", "send_message_to_agent", "send_message_to_agents_matching_tags")
_EFFORTS = {"max": "xhigh"}


async def new_agent(ask: Ask) -> agents_pb2.Agent:
    """Return the agent that a body asks for. Raises Failure."""
    body = ask.body
    if body.get("from_template"):
        raise not_here("There are no templates here: send the agent's own fields, or import an agent file.")
    agent = await ask.aside(_agent_in, body)
    await set_defaults(ask, agent.memory_blocks)
    agent.model = await resolved(ask, handle_in(body) or "")
    more = _MULTI_AGENT if body.get("include_multi_agent_tools") else ()
    agent.tools.extend(dict.fromkeys((*strings(body, "tools"), *await tool_names(ask, strings(body, "tool_ids")), *more)))
    return agent


def _agent_in(body: Body) -> agents_pb2.Agent:
    """Return what a body says by itself."""
    agent = agents_pb2.Agent(
        kind=kind_in(body),
        model_settings=settings_in(body, agents_pb2.ModelSettings()),
        memory_blocks=[*(new_block(block) for block in objects(body, "memory_blocks")), *stored_blocks(body)],
        tool_rules=rules_of(body),
        tool_approvals=approvals_of(body),
        secrets=secrets_in(body),
        metadata=kept_metadata(mapping(body, "metadata")),
    )
    return filled(agent, {**{name: body.get(name) for name in _PLAIN}, "context_window": window_in(body)})


async def changes(ask: Ask, present: agents_pb2.Agent) -> tuple[agents_pb2.Agent, list[str]]:
    """Return new values of an agent's fields, and which fields those are. What is null is left. Raises Failure."""
    body = ask.body
    agent, names = await ask.aside(_changed, body, present)
    if handle := handle_in(body):
        agent.model = await resolved(ask, handle)
        names.append("model")
    if body.get("tools") is not None or body.get("tool_ids") is not None:
        agent.tools.extend(dict.fromkeys((*strings(body, "tools"), *await tool_names(ask, strings(body, "tool_ids")))))
        names.append("tools")
    return agent, names


def _changed(body: Body, present: agents_pb2.Agent) -> tuple[agents_pb2.Agent, list[str]]:
    """Return what a body says by itself, and which fields those are."""
    plain = {name: body[name] for name in _PLAIN if body.get(name) is not None}
    agent, names = filled(agents_pb2.Agent(), plain), list(plain)
    settings = settings_in(body, present.model_settings)
    if settings != present.model_settings:
        agent.model_settings.CopyFrom(settings)
        names.append("model_settings")
    if (window := window_in(body)) is not None:
        filled(agent, {"context_window": window})
        names.append("context_window")
    names += _change_collections(body, agent, present)
    return agent, names


def _change_collections(body: Body, agent: agents_pb2.Agent, present: agents_pb2.Agent) -> list[str]:
    names = []
    if body.get("block_ids") is not None:
        agent.memory_blocks.extend(stored_blocks(body))
        names.append("memory_blocks")
    if body.get("metadata") is not None:
        agent.metadata.update(kept_metadata(mapping(body, "metadata")))
        names.append("metadata")
    if _secrets_are_given(body):
        agent.secrets.update(secrets_in(body))
        names.append("secrets")
    if body.get("tool_rules") is not None:
        # Rules about approval come and go with the list; that a tool needs none stays said.
        refused = {name: required for name, required in present.tool_approvals.items() if not required}
        agent.tool_rules.extend(rules_of(body))
        agent.tool_approvals.update(refused | approvals_of(body))
        names += ["tool_rules", "tool_approvals"]
    return names


async def tool_names(ask: Ask, tool_ids: list[str]) -> list[str]:
    """Return the names of tools. Raises Failure."""
    ids = [checked_id("tool", id_, "body", "tool_ids") for id_ in few("tool_ids", tool_ids)]
    requests = [tool_service_pb2.GetToolRequest(tool_id=id_) for id_ in ids]
    found = await together(*(ask.call(ask.services.tools.GetTool, request) for request in requests))
    return [response.tool.name for response in found]


def stored_blocks(body: Body) -> list[blocks_pb2.Block]:
    """Return the blocks that a body names by their ids. Raises Failure."""
    ids = (checked_id("block", id_, "body", "block_ids") for id_ in strings(body, "block_ids"))
    return [blocks_pb2.Block(id=id_) for id_ in dict.fromkeys(ids)]


def new_block(body: Body) -> blocks_pb2.Block:
    """Return the block that a body asks for. Raises Failure."""
    if "value" not in body:
        raise unprocessable("value", "is required")
    required_text(body, "label")
    return filled_block(body)


def filled_block(body: Body) -> blocks_pb2.Block:
    """Return a block with the fields of a body. Raises Failure."""
    plain = {name: body.get(name) for name in ("label", "value", "description", "limit", "read_only")}
    return filled(blocks_pb2.Block(metadata=kept_metadata(mapping(body, "metadata"))), plain)


def kind_in(body: Body) -> "agents_pb2.AgentKind.ValueType":
    """Return how the agent of a body speaks. Raises Failure."""
    name = text(body, "agent_type") or "letta_v1_agent"
    if name not in KINDS:
        raise unprocessable("agent_type", f"{name!r} is none of {', '.join(KINDS)}")
    return KINDS[name]


def settings_in(body: Body, present: agents_pb2.ModelSettings) -> agents_pb2.ModelSettings:
    """Return the present settings with what a body says laid over them. Raises Failure."""
    config, given = mapping(body, "llm_config"), mapping(body, "model_settings")
    said: dict[str, Any] = {
        "temperature": _first(given.get("temperature"), config.get("temperature")),
        "max_output_tokens": _first(given.get("max_output_tokens"), body.get("max_tokens"), config.get("max_tokens")),
        "parallel_tool_calls": _first(
            given.get("parallel_tool_calls"), body.get("parallel_tool_calls"), config.get("parallel_tool_calls")
        ),
        "reasoning_effort": _effort(body, config, given),
    }
    settings = agents_pb2.ModelSettings()
    settings.CopyFrom(present)
    return filled(settings, said)


def _effort(body: Body, config: Body, given: Body) -> object:
    effort = _first(
        mapping(given, "reasoning").get("reasoning_effort"),
        given.get("effort"),
        config.get("reasoning_effort"),
        "none" if body.get("reasoning") is False else None,
    )
    return _EFFORTS.get(effort, effort) if isinstance(effort, str) else effort


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def window_in(body: Body) -> object:
    """Return how many tokens the context may hold, by a body; None where it does not say."""
    return _first(body.get("context_window_limit"), mapping(body, "llm_config").get("context_window"))


def secrets_in(body: Body) -> dict[str, str]:
    """Return an agent's secrets, under either of their names. Raises Failure."""
    given = {**mapping(body, "tool_exec_environment_variables"), **mapping(body, "secrets")}
    if not all(isinstance(value, str) for value in given.values()):
        raise unprocessable("secrets", "must be strings by name")
    return given


def _secrets_are_given(body: Body) -> bool:
    return body.get("secrets") is not None or body.get("tool_exec_environment_variables") is not None
