"""Answers that the mcp package refuses: the model is told what is wrong with them."""

import json
import sys
from typing import Any

import pytest

from letta_grpc.adapters.mcp.client import McpConnections
from letta_grpc.adapters.mcp.policy import McpPolicy
from letta_grpc.domain.messages import ToolReturnStatus
from letta_grpc.domain.tools import StdioEndpoint
from tests.support.mcp_servers import registered

# A server whose one tool answers what it is told to, whatever that is.
PROGRAM = """
import json, sys
schema, result = sys.argv[1:]
tool = {"name": "ask", "inputSchema": {"type": "object"}}
if json.loads(schema):
    tool["outputSchema"] = json.loads(schema)
answers = {
    "initialize": {
        "protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}
    },
    "tools/list": {"tools": [tool]},
    "tools/call": json.loads(result),
}
for line in sys.stdin:
    asked = json.loads(line)
    if "id" in asked:
        known = asked["method"] in answers
        answer = {"result": answers[asked["method"]]} if known else {"error": {"code": -32601, "message": "no"}}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **answer}), flush=True)
"""
AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
LONG = "x" * 100_000


async def answered(result: Any, schema: Any = None) -> str:  # noqa: ANN401 - any JSON
    """The text that a model is shown."""
    endpoint = StdioEndpoint(command=sys.executable, arguments=("-c", PROGRAM, json.dumps(schema), json.dumps(result)))
    async with McpConnections(McpPolicy(allow_stdio=True, allow_private_addresses=True)) as client:
        returned = await client.call(registered("odd", endpoint), "ask", "{}", 30)
    assert returned.status is ToolReturnStatus.ERROR
    assert returned.text.startswith("Error: the MCP server 'odd' gave an answer that cannot be used: ")
    assert returned.text.endswith(" The call may have had its effect; it was not repeated.")
    assert len(returned.text) < 1000
    return returned.text


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (
            {"age": "old"},
            "its structured content does not fit the tool's own output schema: $.age: 'old' is not of type 'integer'.",
        ),
        ({}, "its structured content does not fit the tool's own output schema: $: 'age' is a required property."),
        ({"age": LONG}, "its structured content does not fit the tool's own output schema: $.age: 'xxx"),
    ],
)
async def test_what_does_not_fit_the_tools_own_schema_is_told(content: Any, fault: str) -> None:  # noqa: ANN401 - any JSON
    assert fault in await answered({"content": [], "structuredContent": content}, AGE)


async def test_structured_content_that_is_missing_is_told() -> None:
    text = await answered({"content": [{"type": "text", "text": "44"}]}, AGE)
    assert "Tool ask has an output schema but did not return structured content." in text


async def test_a_schema_that_is_none_is_told() -> None:
    assert "Invalid schema for tool ask" in await answered(
        {"content": [], "structuredContent": {}}, {"type": "object", "properties": {"age": {"type": 7}}}
    )


async def test_what_is_not_the_protocol_is_told() -> None:
    assert "`content.0." in (text := await answered({"content": [{"type": "text", "text": 7}]}))
    assert "valid string" in text
