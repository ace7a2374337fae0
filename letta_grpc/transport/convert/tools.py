"""Tools."""

import re
from datetime import timedelta
from typing import assert_never

from letta_grpc.domain.ids import AgentId, ToolId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.tools import (
    DEFAULT_RETURN_CHAR_LIMIT,
    DEFAULT_TOOL_TIMEOUT_SECONDS,
    BuiltinSource,
    McpSource,
    PythonSource,
    Tool,
)
from letta_grpc.engine.tool_trials import ToolName, Trial, TrialOutcome
from letta_grpc.engine.tools import MAX_DESCRIPTION, MAX_PARAMETERS_BYTES, NewTool
from letta_grpc.transport.convert.enums import TOOL_RETURN_STATUSES
from letta_grpc.transport.convert.masks import changes_from_mask
from letta_grpc.transport.convert.messages import part_to_pb
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import MAX_TAGS, Rules
from letta_grpc.transport.convert.times import checked_duration, seconds_to_pb, timestamp_to_pb
from letta_grpc.v1 import tool_service_pb2
from letta_grpc.v1 import tools_pb2 as pb

# A page of tools must fit into a response, and source code is the largest part of one.
_MAX_CODE_BYTES = 262_144
_MAX_RETURN_CHARACTERS = 200_000
_MAX_SECRETS = 64
_MIN_TIMEOUT, _MAX_TIMEOUT = timedelta(milliseconds=100), timedelta(hours=1)
# Paths of a mask whose field has another name with us.
_FIELDS = {"python": "source", "mcp.timeout": "mcp_timeout_seconds"}
# What is sure to be a variable everywhere.
_SECRET = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")


def tool_to_pb(tool: Tool) -> pb.Tool:
    """Return a tool."""
    sent = pb.Tool(
        id=tool.id,
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        tags=tool.tags,
        return_char_limit=tool.return_char_limit,
        requires_approval=tool.requires_approval,
        idempotent=tool.idempotent,
        parallel=tool.parallel,
    )
    match tool.source:
        case BuiltinSource():
            sent.builtin.SetInParent()
            return sent
        case PythonSource() as source:
            sent.python.CopyFrom(_python_to_pb(source))
        case McpSource(server_id=server_id, remote_name=name, timeout_seconds=seconds):
            sent.mcp.CopyFrom(pb.McpSource(mcp_server_id=server_id, remote_name=name, timeout=seconds_to_pb(seconds)))
        case _:
            assert_never(tool.source)
    sent.create_time.CopyFrom(timestamp_to_pb(tool.create_time))
    sent.update_time.CopyFrom(timestamp_to_pb(tool.update_time))
    return sent


def _python_to_pb(source: PythonSource) -> pb.PythonSource:
    return pb.PythonSource(
        code=source.code,
        timeout=seconds_to_pb(source.timeout_seconds),
        allow_network=source.allow_network,
        secrets=source.secrets,
        all_secrets=source.all_secrets,
    )


def new_tool_from_pb(request: tool_service_pb2.CreateToolRequest | tool_service_pb2.UpsertToolRequest) -> NewTool:
    """Return the tool to make."""
    tool = request.tool
    with Rules() as rules:
        if tool.WhichOneof("source") in ("mcp", "builtin"):
            rules.broken(f"tool.{tool.WhichOneof('source')}", "cannot be made here: give `python`")
        return NewTool(
            name=rules.plain_name("tool.name", tool.name) if tool.name else "",
            description=rules.text("tool.description", tool.description, MAX_DESCRIPTION),
            parameters=_parameters(rules, tool),
            source=_python(rules, "tool.python", tool.python),
            tags=rules.tags("tool.tags", tool.tags, MAX_TAGS),
            return_char_limit=_limit(rules, tool),
            requires_approval=tool.requires_approval,
            idempotent=tool.idempotent,
            parallel=_parallel(tool),
        )


def tool_update_from_pb(request: tool_service_pb2.UpdateToolRequest) -> tuple[ToolId, dict[str, object]]:
    """Return which tool to change, and how."""
    tool = request.tool
    with Rules() as rules:
        tool_id = rules.id("tool_id", "tool", request.tool_id)
        changes = changes_from_mask(
            rules,
            request.update_mask,
            {
                "description": lambda: rules.text("tool.description", tool.description, MAX_DESCRIPTION),
                "parameters": lambda: _parameters(rules, tool),
                "python": lambda: _python(rules, "tool.python", tool.python),
                "mcp.timeout": lambda: _timeout(rules, "tool.mcp", tool.mcp),
                "tags": lambda: rules.tags("tool.tags", tool.tags, MAX_TAGS),
                "return_char_limit": lambda: _limit(rules, tool),
                "requires_approval": lambda: tool.requires_approval,
                "idempotent": lambda: tool.idempotent,
                "parallel": lambda: _parallel(tool),
            },
        )
    return ToolId(tool_id), {_FIELDS.get(path, path): value for path, value in changes.items()}


def _timeout(rules: Rules, path: str, source: pb.PythonSource | pb.McpSource) -> float:
    if not source.HasField("timeout"):
        return DEFAULT_TOOL_TIMEOUT_SECONDS
    return checked_duration(rules, f"{path}.timeout", source.timeout, _MIN_TIMEOUT, _MAX_TIMEOUT).total_seconds()


def _python(rules: Rules, path: str, source: pb.PythonSource) -> PythonSource:
    rules.long_text(f"{path}.code", source.code, _MAX_CODE_BYTES, required=True)
    secrets = rules.at_most(f"{path}.secrets", source.secrets, _MAX_SECRETS)
    for index, name in enumerate(secrets):
        if not _SECRET.fullmatch(name):
            rules.broken(f"{path}.secrets[{index}]", "must be the name of a variable, of at most 128 characters")
    return PythonSource(
        code=source.code,
        timeout_seconds=_timeout(rules, path, source),
        allow_network=source.allow_network,
        secrets=tuple(dict.fromkeys(secrets)),
        all_secrets=source.all_secrets,
    )


def _parameters(rules: Rules, tool: pb.Tool) -> str:
    """Return the schema; empty stands for the source's."""
    if not tool.parameters:
        return ""
    return rules.json_object("tool.parameters", tool.parameters, MAX_PARAMETERS_BYTES)


def _limit(rules: Rules, tool: pb.Tool) -> int:
    limit = tool.return_char_limit if tool.HasField("return_char_limit") else DEFAULT_RETURN_CHAR_LIMIT
    return rules.number("tool.return_char_limit", limit, 1, _MAX_RETURN_CHARACTERS)


def _parallel(tool: pb.Tool) -> bool:
    return tool.parallel if tool.HasField("parallel") else True


def tool_id_from_pb(request: tool_service_pb2.GetToolRequest | tool_service_pb2.DeleteToolRequest) -> ToolId:
    """Return which tool is meant."""
    with Rules() as rules:
        tool_id = rules.id("tool_id", "tool", request.tool_id)
    return ToolId(tool_id)


def tools_query_from_pb(request: tool_service_pb2.ListToolsRequest) -> tuple[PageRequest, str | None, tuple[str, ...]]:
    """Return which tools to list: page, name, tags."""
    with Rules() as rules:
        page = page_from_pb(rules, request)
        tags = rules.sought_tags("tags", request.tags, MAX_TAGS)
    return page, request.name or None, tags


def possession_from_pb(
    request: tool_service_pb2.AttachToolRequest | tool_service_pb2.DetachToolRequest | tool_service_pb2.SetToolApprovalRequest,
) -> tuple[AgentId, str]:
    """Return the agent and the name of the tool that are meant."""
    with Rules() as rules:
        agent_id = rules.id("agent_id", "agent", request.agent_id)
        name = rules.plain_name("name", request.name)
    return AgentId(agent_id), name


def trial_from_pb(request: tool_service_pb2.RunToolRequest) -> Trial:
    """Return the call to try."""
    with Rules() as rules:
        return Trial(
            tool=_tried(rules, request),
            arguments=rules.long_text("arguments", request.arguments or "{}"),
            secrets=rules.metadata("secrets", request.secrets),
        )


def _tried(rules: Rules, request: tool_service_pb2.RunToolRequest) -> ToolId | ToolName | PythonSource:
    match request.WhichOneof("tool"):
        case "tool_id":
            return ToolId(rules.id("tool_id", "tool", request.tool_id))
        case "name":
            return ToolName(rules.plain_name("name", request.name))
        case "python":
            return _python(rules, "python", request.python)
        case None:
            rules.broken("tool", "is required: one of tool_id, name, python")
            return ToolName("")
        case other:
            assert_never(other)


def outcome_to_pb(outcome: TrialOutcome) -> tool_service_pb2.RunToolResponse:
    """Return what a tool gave."""
    result = outcome.result
    sent = tool_service_pb2.RunToolResponse(
        status=TOOL_RETURN_STATUSES.to_pb[result.status],
        text=result.text,
        stdout=result.stdout,
        stderr=result.stderr,
        duration=seconds_to_pb(outcome.seconds),
    )
    if result.content:
        sent.content.parts.extend(part_to_pb(part) for part in result.content)
    return sent
