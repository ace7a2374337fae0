"""Tools as agents have them: by name in the contract, whole and by id here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import all_of, fetch_of
from letta_grpc.gateway.faces.letta.shapes.tools import tool_json
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.v1 import agents_pb2, tools_pb2
from letta_grpc.v1 import tool_service_pb2 as pb


async def all_tools(ask: Ask) -> list[tools_pb2.Tool]:
    """Return every tool of the server, in order. Raises Failure."""
    return await all_of(pb.ListToolsRequest(), fetch_of(ask, ask.services.tools.ListTools, lambda page: page.tools))


async def tools_by_name(ask: Ask, names: Iterable[str]) -> Mapping[str, dict[str, Any]]:
    """Return the tools of these names, by name. Raises Failure."""
    wanted = frozenset(names)
    if not wanted:
        return {}
    return {tool.name: tool_json(tool) for tool in await all_tools(ask) if tool.name in wanted}


async def tools_of(ask: Ask, agent: agents_pb2.Agent) -> list[dict[str, Any]]:
    """Return the tools of an agent, in its order. Raises Failure."""
    known = await tools_by_name(ask, agent.tools)
    return [known[name] for name in agent.tools if name in known]


def missing_tools(failure: Failure, names: Sequence[str]) -> Failure:
    """Return why an agent with these tools was refused; for tools that are not here, in the words that clients know it by."""
    fields = {violation.get("field") for detail in failure.details for violation in detail.get("fieldViolations", ())}
    missing = [name for index, name in enumerate(names) if f"agent.tools[{index}]" in fields]
    if not missing:
        return failure
    return refused(f"Tools not found by name: {', '.join(missing)}. Make them by POST /v1/tools/ first, or leave them out.")
