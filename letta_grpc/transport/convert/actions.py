"""Calls that wait for an answer, and the tools that clients run."""

import json
from collections import Counter
from collections.abc import Sequence

from letta_grpc.domain.approvals import PendingAction
from letta_grpc.domain.arguments import can_be_sent
from letta_grpc.domain.completions import ToolDefinition
from letta_grpc.domain.ids import MessageId, StepId
from letta_grpc.engine.tools import MAX_DESCRIPTION
from letta_grpc.transport.convert.enums import ACTION_KINDS
from letta_grpc.transport.convert.rules import UNSENDABLE, Rules
from letta_grpc.transport.convert.times import timestamp_from_pb, timestamp_to_pb
from letta_grpc.v1 import runs_pb2 as pb

MAX_CLIENT_TOOLS = 64
_MAX_SCHEMA_BYTES = 65_536
_NO_PARAMETERS = '{"type":"object","properties":{}}'


def action_to_pb(action: PendingAction) -> pb.PendingAction:
    """Return a call that waits."""
    return pb.PendingAction(
        tool_call_id=action.tool_call_id,
        kind=ACTION_KINDS.to_pb[action.kind],
        name=action.name,
        arguments=action.arguments,
        message_id=action.message_id,
        step_id=action.step_id,
        expire_time=timestamp_to_pb(action.expire_time),
    )


def action_from_pb(action: pb.PendingAction) -> PendingAction:
    """Return a waiting call that the server wrote."""
    return PendingAction(
        tool_call_id=action.tool_call_id,
        kind=ACTION_KINDS.from_pb[action.kind],
        name=action.name,
        arguments=action.arguments,
        message_id=MessageId(action.message_id),
        step_id=StepId(action.step_id),
        expire_time=timestamp_from_pb(action.expire_time),
    )


def client_tools_from_pb(rules: Rules, path: str, tools: Sequence[pb.ClientTool]) -> tuple[ToolDefinition, ...]:
    """Return the tools that the client runs."""
    few = rules.at_most(path, tools, MAX_CLIENT_TOOLS)
    counts = Counter(tool.name for tool in few)
    for index, tool in enumerate(few):
        rules.plain_name(f"{path}[{index}].name", tool.name)
        if counts[tool.name] > 1:
            rules.broken(f"{path}[{index}].name", f"{tool.name!r} is there more than once")
    return tuple(_client_tool(rules, f"{path}[{index}]", tool) for index, tool in enumerate(few))


def _client_tool(rules: Rules, path: str, tool: pb.ClientTool) -> ToolDefinition:
    return ToolDefinition(
        name=tool.name,
        description=rules.text(f"{path}.description", tool.description, MAX_DESCRIPTION),
        parameters=object_schema(rules, f"{path}.parameters", tool.parameters) if tool.parameters else _NO_PARAMETERS,
    )


def object_schema(rules: Rules, path: str, text: str) -> str:
    """Return a JSON Schema of an object, as text."""
    rules.long_text(path, text, _MAX_SCHEMA_BYTES)
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError):
        schema = None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        rules.broken(path, 'must be the JSON text of a JSON Schema with "type": "object"')
    elif not can_be_sent(schema):
        rules.broken(path, UNSENDABLE)
    return text
