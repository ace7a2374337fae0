"""Every RPC has its method, and the names follow one rule; what does not is listed here."""

import ast
import re
from collections import defaultdict
from pathlib import Path

import letta_grpc.client
from letta_grpc.v1 import (
    agent_service_pb2,
    archive_service_pb2,
    block_service_pb2,
    conversation_service_pb2,
    mcp_service_pb2,
    model_service_pb2,
    run_service_pb2,
    tool_service_pb2,
)

FILES = (
    agent_service_pb2,
    archive_service_pb2,
    block_service_pb2,
    conversation_service_pb2,
    mcp_service_pb2,
    model_service_pb2,
    run_service_pb2,
    tool_service_pb2,
)
RPCS = {name for file in FILES for service in file.DESCRIPTOR.services_by_name.values() for name in service.methods_by_name}
SOURCES = Path(letta_grpc.client.__file__).parent / "_async"
# By the rule `client.agents.create` calls CreateAgent: the verb, in the group that the noun names.
OTHERWISE = {
    # What belongs to an agent is asked for by its name.
    "GetContext": {"context"},
    "GetMemoryBlock": {"block"},
    "ListMessages": {"messages"},
    "UpdateMemoryBlock": {"update_block"},
    # Of two nouns in one group the second is named.
    "ResetMessages": {"reset_messages"},
    "SearchMessages": {"search_messages"},
    "ListRunEvents": {"list_events"},
    "ListRunMessages": {"list_messages"},
    "ListSteps": {"list_steps"},
    "GetStep": {"get_step"},
    "ListProviders": {"providers"},
    "ListMcpTools": {"tools"},
    "AddMcpTools": {"add_tools"},
    "SetToolApproval": {"set_approval"},
    # `import` is a word of Python's.
    "ImportAgent": {"import_"},
    # Two ways to say what is made, or run.
    "CreateMcpServer": {"_add"},
    "RunTool": {"run", "run_source"},
    # Streams, which call what they need while they are read.
    "StreamRun": {"_dial"},
    "StreamRuns": {"_dial"},
    "AttachRun": {"_dial"},
    "Converse": {"_dial"},
    "CancelRun": {"cancel"},
    "GetRun": {"get", "_verify_end"},
}


def calls() -> dict[str, set[str]]:
    """The methods of the client that make each call."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES.glob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Attribute) and node.attr in RPCS:
                        found[node.attr].add(function.name)
    return found


def test_every_call_of_the_contract_has_its_method() -> None:
    assert set(calls()) == RPCS


def test_a_method_is_named_by_its_verb() -> None:
    ruled = {rpc: {re.findall("[A-Z][a-z]*", rpc)[0].lower()} for rpc in RPCS}
    assert calls() == ruled | OTHERWISE


# Fields that no caller gives: all pages are read, the method says which tool is meant, and a call of its own cancels.
NOT_GIVEN = {"page_token", "RunToolRequest.tool_id", "ConverseRequest.cancel"}


def given() -> dict[str, set[str]]:
    """The fields that the client gives, by the message that it makes."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in (*SOURCES.glob("*.py"), *SOURCES.parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                made = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                found[made] |= {keyword.arg for keyword in node.keywords if keyword.arg}
    return found


def test_every_field_of_a_request_can_be_given() -> None:
    told = given()
    # `start_of` makes the three starts from one set of arguments: tests/client/test_requests.py.
    requests = {
        method.input_type
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
        if method.name not in {"StreamRun", "CreateRun", "ExecuteRun"}
    }
    missing = {f"{request.name}.{field}" for request in requests for field in {*request.fields_by_name} - told[request.name]}
    assert {name for name in missing if not NOT_GIVEN & {name, name.partition(".")[2]}} == set()
