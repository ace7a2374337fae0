"""Tools as resources."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
from google.protobuf.field_mask_pb2 import FieldMask

from letta_grpc.gateway.faces.letta.errors import not_here
from letta_grpc.gateway.faces.letta.fields import Body, filled, mapping, required_text, strings, text, whole_number
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages_in_memory import page_of
from letta_grpc.gateway.faces.letta.shapes.tools import tool_json, tool_type
from letta_grpc.gateway.faces.letta.toolboxes import all_tools
from letta_grpc.v1 import messages_pb2, tools_pb2
from letta_grpc.v1 import tool_service_pb2 as pb

# Body name → name in the contract.
_PLAIN: Mapping[str, str] = {
    "tags": "tags",
    "return_char_limit": "return_char_limit",
    "default_requires_approval": "requires_approval",
    "enable_parallel_execution": "parallel",
}
_MAX_FOUND = 50
# Parameters that the reference server filled in: no model is told of them.
INJECTED = ("self", "agent_state")


async def create(ask: Ask) -> Json:
    """Make a tool."""
    request = pb.CreateToolRequest(tool=await ask.aside(tool_in, ask.body))
    return tool_json((await ask.call(ask.services.tools.CreateTool, request)).tool)


async def upsert(ask: Ask) -> Json:
    """Make a tool, or put it in the place of the one with its name."""
    request = pb.UpsertToolRequest(tool=await ask.aside(tool_in, ask.body))
    return tool_json((await ask.call(ask.services.tools.UpsertTool, request)).tool)


async def add_base_tools(ask: Ask) -> Json:
    """Show the tools that are part of the server: there is nothing to add."""
    return [tool_json(tool) for tool in await all_tools(ask) if tool.HasField("builtin")]


async def retrieve(ask: Ask) -> Json:
    """Show a tool."""
    request = pb.GetToolRequest(tool_id=ask.path_id("tool"))
    return tool_json((await ask.call(ask.services.tools.GetTool, request)).tool)


async def list_tools(ask: Ask) -> Json:
    """List tools."""
    return page_of(ask, [tool_json(tool) for tool in await all_tools(ask) if _fits(ask, tool)])


async def count(ask: Ask) -> Json:
    """Count tools."""
    return len([tool for tool in await all_tools(ask) if _fits(ask, tool)])


def _fits(ask: Ask, tool: tools_pb2.Tool) -> bool:
    kind = tool_type(tool)
    names = [*ask.queries("names"), *([name] if (name := ask.query("name")) else [])]
    return (
        (not names or tool.name in names)
        and (not (ids := ask.queries("tool_ids")) or tool.id in ids)
        and (not (kinds := ask.queries("tool_types")) or kind in kinds)
        and kind not in ask.queries("exclude_tool_types")
        and (not ask.flag("return_only_letta_tools") or kind.startswith("letta_"))
        and (ask.query("search") or "").lower() in tool.name.lower()
    )


async def search(ask: Ask) -> Json:
    """Find tools whose names or descriptions have all words of a query."""
    body = ask.body
    words, tags, kinds = (text(body, "query") or "").lower().split(), strings(body, "tags"), strings(body, "tool_types")
    found = [
        tool
        for tool in await all_tools(ask)
        if all(word in f"{tool.name} {tool.description}".lower() for word in words)
        and (not tags or not set(tags).isdisjoint(tool.tags))
        and (not kinds or tool_type(tool) in kinds)
    ]
    # Names say more than descriptions.
    found.sort(key=lambda tool: sum(word not in tool.name.lower() for word in words))
    limit = whole_number(body, "limit", _MAX_FOUND, _MAX_FOUND)
    return [
        {
            "tool": tool_json(tool),
            "combined_score": 1 / (rank + 1),
            "fts_rank": rank + 1,
            "vector_rank": None,
            "embedded_text": None,
        }
        for rank, tool in enumerate(found[:limit])
    ]


async def update(ask: Ask) -> Json:
    """Change what the body names."""
    tool, names = await ask.aside(tool_in, ask.body, is_new=False), _named(ask.body)
    if not names:
        return await retrieve(ask)
    request = pb.UpdateToolRequest(tool_id=ask.path_id("tool"), tool=tool, update_mask=FieldMask(paths=names))
    return tool_json((await ask.call(ask.services.tools.UpdateTool, request)).tool)


def _named(body: Body) -> list[str]:
    names = [name for given, name in _PLAIN.items() if body.get(given) is not None]
    if body.get("source_code") is not None:
        names.append("python")
    schema = _schema(body)
    names += [name for name in ("description", "parameters") if schema.get(name) is not None]
    return names


async def delete(ask: Ask) -> Json:
    """Remove a tool."""
    tool_id = ask.path_id("tool")
    await ask.call(ask.services.tools.DeleteTool, pb.DeleteToolRequest(tool_id=tool_id))
    return {"message": f"Tool id={tool_id} successfully deleted"}


async def run(ask: Ask) -> Json:
    """Run source code that is stored nowhere."""
    body = ask.body
    request = pb.RunToolRequest(
        python=python_in(body),
        arguments=orjson.dumps(body.get("args") or {}).decode(),
        secrets={str(name): str(value) for name, value in mapping(body, "env_vars").items()},
    )
    outcome = await ask.call(ask.services.tools.RunTool, request)
    return {
        "id": f"message-{uuid4()}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "message_type": "tool_return_message",
        "tool_call_id": "null",
        **outcome_json(outcome),
    }


def outcome_json(outcome: pb.RunToolResponse) -> dict[str, Any]:
    """Return what a tool gave."""
    succeeded = outcome.status == messages_pb2.TOOL_RETURN_STATUS_SUCCESS
    return {
        "status": "success" if succeeded else "error",
        "tool_return": outcome.text,
        "func_return": outcome.text,
        "stdout": list(outcome.stdout),
        "stderr": list(outcome.stderr),
    }


def tool_in(body: Body, *, is_new: bool = True) -> tools_pb2.Tool:
    """Return the tool that a body asks for. Raises Failure."""
    if is_new:
        required_text(body, "source_code")
    tool = tools_pb2.Tool(python=python_in(body)) if body.get("source_code") is not None else tools_pb2.Tool()
    # It chooses among the functions of the source; a stored tool has its name for good.
    name = text(mapping(body, "json_schema"), "name") if is_new else None
    plain = {field: body.get(given) for given, field in _PLAIN.items()}
    return filled(tool, {"name": name, **plain, **_schema(body)})


def python_in(body: Body) -> tools_pb2.PythonSource:
    """Return the source of a body. Raises Failure for what no sandbox here could run."""
    if (kind := text(body, "source_type")) and kind not in {"python", "json"}:
        raise not_here(
            f"Tools are written in Python here, not in {kind}. Others can be client tools, or come from an MCP server."
        )
    if body.get("npm_requirements") or body.get("pip_requirements"):
        raise not_here("No packages are installed for tools here: use the standard library, a client tool, or an MCP server.")
    # As on the reference server a tool may use the network, and sees what its agent has for it.
    return tools_pb2.PythonSource(code=required_text(body, "source_code"), allow_network=True, all_secrets=True)


def _schema(body: Body) -> dict[str, Any]:
    given = mapping(body, "json_schema")
    parameters = mapping(given, "parameters") or mapping(body, "args_json_schema")
    return {
        "description": text(body, "description") or text(given, "description"),
        "parameters": orjson.dumps(without(parameters, *INJECTED)).decode() if parameters else None,
    }


def without(schema: Body, *names: str) -> Body:
    """Return the schema of an object without these of its properties. Raises Failure."""
    properties = mapping(schema, "properties")
    if not set(names) & {*properties}:
        return schema
    left = {**schema, "properties": {name: part for name, part in properties.items() if name not in names}}
    if isinstance(schema.get("required"), list):
        left["required"] = [name for name in schema["required"] if name not in names]
    return left


OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST",
        "/v1/tools/",
        create,
        differs="a source sees its agent's secrets and LETTA_AGENT_ID, but no LETTA_API_KEY, `client` or `agent_state`; "
        "packages to install, and sources that are not Python, are 501",
    ),
    Operation("PUT", "/v1/tools/", upsert),
    Operation("GET", "/v1/tools/", list_tools),
    Operation("GET", "/v1/tools/count", count),
    Operation("POST", "/v1/tools/search", search, differs="by words in names and descriptions"),
    Operation("POST", "/v1/tools/run", run, "in a sandbox, as every tool"),
    Operation(
        "POST",
        "/v1/tools/add-base-tools",
        add_base_tools,
        differs="`web_search`, `fetch_webpage` and `run_code` are not among them: make them, or take an MCP server's; agents "
        "edit blocks by `memory_insert` (for `core_memory_append`), `memory_replace` (for `core_memory_replace`) and "
        "`memory_rethink` (a whole block): `memory` and `memory_finish_edits` are not here",
    ),
    Operation("GET", "/v1/tools/{tool_id}", retrieve),
    Operation("PATCH", "/v1/tools/{tool_id}", update),
    Operation("DELETE", "/v1/tools/{tool_id}", delete),
)
