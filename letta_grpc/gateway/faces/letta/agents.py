"""Agents: made, shown, listed, counted, changed, removed."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.agent_requests import changes, new_agent
from letta_grpc.gateway.faces.letta.approvals import pending_json
from letta_grpc.gateway.faces.letta.contexts import ids_in_context, messages_in_context, prompt_of
from letta_grpc.gateway.faces.letta.errors import not_here
from letta_grpc.gateway.faces.letta.open_runs import waiting_runs
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation, together
from letta_grpc.gateway.faces.letta.pages import Fetch, count_of, every, fetch_of, listed, ordered_by
from letta_grpc.gateway.faces.letta.pages_in_memory import page_of
from letta_grpc.gateway.faces.letta.recency import by_last_run
from letta_grpc.gateway.faces.letta.shapes.agents import agent_json
from letta_grpc.gateway.faces.letta.shapes.runs import STOP_REASONS
from letta_grpc.gateway.faces.letta.shapes.times import nanoseconds, timestamp_of
from letta_grpc.gateway.faces.letta.sleeptime import removed_on_failure, sleeptime_among
from letta_grpc.gateway.faces.letta.targets import agent_in, conversation_id_of
from letta_grpc.gateway.faces.letta.toolboxes import missing_tools, tools_by_name, tools_of
from letta_grpc.gateway.failures import Failure
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import agents_pb2, run_service_pb2, runs_pb2

_PENDING = "agent.pending_approval"
# What no agent here has: who asks for it finds none.
_NOBODY_HAS = ("identity_id", "identifier_keys", "template_id", "base_template_id", "created_by_id")


async def create(ask: Ask) -> Json:
    """Make an agent."""
    with_base = ask.body.get("include_base_tools") is not False
    request = pb.CreateAgentRequest(agent=await new_agent(ask), include_base_tools=with_base)
    try:
        agent = (await ask.call(ask.services.agents.CreateAgent, request)).agent
    except Failure as failure:
        raise missing_tools(failure, request.agent.tools) from None
    async with removed_on_failure(ask, agent, {block.id for block in request.agent.memory_blocks}):
        agent = await _changed(ask, agent, agents_pb2.Agent(), [])
    # What is new has nothing in its context.
    return {**await shown(ask, agent), "message_ids": []}


async def retrieve(ask: Ask) -> Json:
    """Show an agent."""
    agent = await agent_of(ask)
    waiting = _PENDING in (*ask.queries("include"), *ask.queries("include[]"))
    tools, last, messages, runs = await together(
        tools_of(ask, agent),
        _last_run(ask, agent),
        messages_in_context(ask, agent_in(ask)),
        _waiting(ask) if waiting else together(),
    )
    pending = next((told for run in runs if (told := pending_json(run))), None)
    message_ids = None if messages is None else await ids_in_context(ask, agent_in(ask), messages)
    return agent_json(agent, tools, **last, message_ids=message_ids, pending_approval=pending)


async def _waiting(ask: Ask) -> Sequence[runs_pb2.Run]:
    target = agent_in(ask)
    return await waiting_runs(ask, target.agent_id, await conversation_id_of(ask, target))


async def shown(ask: Ask, agent: agents_pb2.Agent) -> dict[str, Any]:
    """Return an agent with its tools. Raises Failure."""
    return agent_json(agent, await tools_of(ask, agent))


async def agent_of(ask: Ask) -> agents_pb2.Agent:
    """Return the agent that the path names. Raises Failure."""
    request = pb.GetAgentRequest(agent_id=agent_in(ask).agent_id)
    return (await ask.call(ask.services.agents.GetAgent, request)).agent


async def _last_run(ask: Ask, agent: agents_pb2.Agent) -> dict[str, Any]:
    request = run_service_pb2.ListRunsRequest(agent_id=agent.id, page_size=1, descending=True)
    for run in (await ask.call(ask.services.runs.ListRuns, request)).runs:
        duration = nanoseconds(run.timing.total) // 1_000_000 if run.timing.HasField("total") else None
        return {
            "last_run_completion": timestamp_of(run, "end_time"),
            "last_run_duration_ms": duration,
            "last_stop_reason": STOP_REASONS.get(run.stop_reason),
        }
    return {}


async def list_agents(ask: Ask) -> Json:
    """List agents."""
    if ask.query("last_stop_reason"):
        raise not_here("Agents are not found by how they ended: runs are, by /v1/runs/ with `stop_reason`.")
    if any(ask.queries(name) for name in _NOBODY_HAS):
        return []
    request, fits = _search(ask)
    if ordered_by(ask) != "last_run_completion":
        return await all_shown(ask, await listed(ask, request, _fetch(ask), fits))
    found = [agent async for each in every(request, _fetch(ask)) for agent in fits(each)]
    return page_of(ask, await all_shown(ask, await by_last_run(ask, found, "agent_id")), by_creation=False)


async def list_of_block(ask: Ask) -> Json:
    """List the agents that have a block."""
    block_id = ask.path_id("block")
    request, _ = _search(ask)
    agents = await listed(ask, request, _fetch(ask), lambda agent: [agent] if _has(agent, block_id) else [])
    return await all_shown(ask, agents)


def _has(agent: agents_pb2.Agent, block_id: str) -> bool:
    return any(block.id == block_id for block in agent.memory_blocks)


async def all_shown(ask: Ask, agents: Sequence[agents_pb2.Agent]) -> list[dict[str, Any]]:
    """Return agents with their tools. Raises Failure."""
    tools = await tools_by_name(ask, {name for agent in agents for name in agent.tools})
    return [agent_json(agent, [tools[name] for name in agent.tools if name in tools]) for agent in agents]


async def count(ask: Ask) -> Json:
    """Count agents."""
    return await count_of(pb.ListAgentsRequest(), _fetch(ask))


def every_agent(ask: Ask) -> AsyncIterator[agents_pb2.Agent]:
    """Yield all agents. Raises Failure."""
    return every(pb.ListAgentsRequest(), _fetch(ask))


async def update(ask: Ask) -> Json:
    """Change what the body names."""
    agent = await agent_of(ask)
    return await shown(ask, await _changed(ask, agent, *await changes(ask, agent)))


async def _changed(ask: Ask, agent: agents_pb2.Agent, new: agents_pb2.Agent, names: list[str]) -> agents_pb2.Agent:
    async with sleeptime_among(ask, agent, new, names):
        if not names:
            return agent
        request = pb.UpdateAgentRequest(agent_id=agent.id, agent=new, update_mask=FieldMask(paths=names))
        try:
            return (await ask.call(ask.services.agents.UpdateAgent, request)).agent
        except Failure as failure:
            raise missing_tools(failure, new.tools) from None


async def recompile(ask: Ask) -> Json:
    """Show the system prompt: it is made anew, of instructions and blocks, whenever a model is asked."""
    return await prompt_of(ask, agent_in(ask))


async def delete(ask: Ask) -> Json:
    """Remove an agent."""
    agent_id = agent_in(ask).agent_id
    await ask.call(ask.services.agents.DeleteAgent, pb.DeleteAgentRequest(agent_id=agent_id))
    return {"message": f"Agent id={agent_id} successfully deleted"}


def _search(ask: Ask) -> tuple[pb.ListAgentsRequest, Callable[[agents_pb2.Agent], list[Json]]]:
    """Return which agents a query asks for; what the contract cannot narrow is narrowed here, page by page."""
    tags = frozenset(ask.queries("tags"))
    all_tags = bool(ask.flag("match_all_tags")) or len(tags) == 1
    words = (ask.query("query_text") or "").lower()
    request = pb.ListAgentsRequest(name=ask.query("name") or "", tags=tags if all_tags else ())

    def fits(agent: agents_pb2.Agent) -> list[Json]:
        is_tagged = all_tags or not tags or not tags.isdisjoint(agent.tags)
        return [agent] if is_tagged and words in agent.name.lower() else []

    return request, fits


def _fetch(ask: Ask) -> Fetch[pb.ListAgentsRequest, agents_pb2.Agent]:
    return fetch_of(ask, ask.services.agents.ListAgents, lambda page: page.agents)


OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST",
        "/v1/agents/",
        create,
        differs="`embedding` and what belongs to it, `compaction_settings`, `response_format`, `message_buffer_autoclear`, "
        "`initial_message_sequence`, `identity_ids`, `hidden`, `project_id`, folders and sources are ignored; blocks without "
        "a `limit` share the 500000 characters that an agent's may hold, 100000 at most each",
    ),
    Operation(
        "GET",
        "/v1/agents/",
        list_agents,
        "tools, blocks and tags are always in",
        "`order_by=updated_at` and `last_stop_reason` are 501; `project_id` is ignored; "
        "`pending_approval` and `message_ids` are told where one agent is shown",
    ),
    Operation("GET", "/v1/agents/count", count),
    Operation(
        "GET",
        "/v1/agents/{agent_id}",
        retrieve,
        "tools, blocks and tags are always in; secrets never show their values",
        "`message_ids` leaves out the system prompt, which is no message here",
    ),
    Operation(
        "PATCH",
        "/v1/agents/{agent_id}",
        update,
        differs="that a tool wants approval by itself is ended by `tools/approval`, not by `tool_rules` without its rule",
    ),
    Operation("DELETE", "/v1/agents/{agent_id}", delete, "refused while a run is at work"),
    Operation("POST", "/v1/agents/{agent_id}/recompile", recompile, "never needed: no prompt is older than its blocks"),
    Operation("GET", "/v1/blocks/{block_id}/agents", list_of_block),
)
