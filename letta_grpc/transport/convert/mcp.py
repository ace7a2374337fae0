"""MCP servers."""

import re
from collections.abc import Mapping

from letta_grpc.domain.ids import McpServerId
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.tools import HttpEndpoint, McpServer, StdioEndpoint, ToolSignature
from letta_grpc.engine.mcp_servers import NewMcpServer
from letta_grpc.transport.convert.paging import page_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.transport.convert.times import timestamp_to_pb
from letta_grpc.v1 import mcp_pb2 as pb
from letta_grpc.v1 import mcp_service_pb2

# What HTTP and the environment of a process take; a NUL or a line's end would be another header or the end of a value.
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_VARIABLE_NAME = re.compile(r"[^=\0]+")
_VARIABLE_VALUE = re.compile(r"[^\0]*")
_MAX_ARGUMENTS = 64
_MAX_ARGUMENT = 4096
_MAX_URL = 2048
_MAX_NAMES = 1000
_PREFIX = re.compile(r"[a-zA-Z0-9_-]{0,32}")


def server_to_pb(server: McpServer) -> pb.McpServer:
    """Return a server. Of its secrets the names alone."""
    found = pb.McpServer(id=server.id, name=server.name, create_time=timestamp_to_pb(server.create_time))
    match server.endpoint:
        case StdioEndpoint(command=command, arguments=arguments, environment=environment):
            found.stdio.CopyFrom(
                pb.StdioEndpoint(command=command, arguments=arguments, environment=dict.fromkeys(environment, ""))
            )
        case HttpEndpoint(url=url, headers=headers):
            found.http.CopyFrom(pb.HttpEndpoint(url=url, headers=dict.fromkeys(headers, "")))
    return found


def mcp_tool_to_pb(tool: ToolSignature) -> pb.McpTool:
    """Return a tool as its server tells of it."""
    return pb.McpTool(name=tool.name, description=tool.description, parameters=tool.parameters)


def new_server_from_pb(request: mcp_service_pb2.CreateMcpServerRequest) -> NewMcpServer:
    """Return the server to register."""
    with Rules() as rules:
        name = rules.plain_name("server.name", request.server.name)
        return NewMcpServer(name=name, endpoint=_endpoint(rules, request.server))


def _endpoint(rules: Rules, server: pb.McpServer) -> StdioEndpoint | HttpEndpoint:
    match server.WhichOneof("endpoint"):
        case "stdio":
            return _stdio(rules, server.stdio)
        case "http":
            headers = _secrets(rules, "server.http.headers", server.http.headers, _HEADER_NAME, _HEADER_VALUE)
            return HttpEndpoint(url=rules.text("server.http.url", server.http.url, _MAX_URL, required=True), headers=headers)
        case None:
            rules.broken("server", "must have one of stdio, http")
            return HttpEndpoint(url="")


def _stdio(rules: Rules, stdio: pb.StdioEndpoint) -> StdioEndpoint:
    path = "server.stdio"
    arguments = rules.at_most(f"{path}.arguments", stdio.arguments, _MAX_ARGUMENTS)
    for index, argument in enumerate(arguments):
        _checked(rules, f"{path}.arguments[{index}]", argument)
    rules.text(f"{path}.command", stdio.command, _MAX_ARGUMENT, required=True)
    return StdioEndpoint(
        command=_checked(rules, f"{path}.command", stdio.command),
        arguments=arguments,
        environment=_secrets(rules, f"{path}.environment", stdio.environment, _VARIABLE_NAME, _VARIABLE_VALUE),
    )


def _checked(rules: Rules, path: str, text: str) -> str:
    if "\0" in text:
        rules.broken(path, "must not have a NUL")
    return rules.text(path, text, _MAX_ARGUMENT)


def _secrets(
    rules: Rules, path: str, given: Mapping[str, str], names: re.Pattern[str], values: re.Pattern[str]
) -> Mapping[str, str]:
    entries = rules.metadata(path, given)
    for name, value in entries.items():
        if not names.fullmatch(name):
            rules.broken(path, f"{name[:100]!r} is no name")
        elif not values.fullmatch(value):
            rules.broken(path, f"the value of {name[:100]!r} has signs that cannot be sent")
    return entries


def server_id_from_pb(
    request: mcp_service_pb2.GetMcpServerRequest
    | mcp_service_pb2.DeleteMcpServerRequest
    | mcp_service_pb2.ListMcpToolsRequest,
) -> McpServerId:
    """Return which server is meant."""
    with Rules() as rules:
        server_id = rules.id("mcp_server_id", "mcp", request.mcp_server_id)
    return McpServerId(server_id)


def servers_page_from_pb(request: mcp_service_pb2.ListMcpServersRequest) -> PageRequest:
    """Return which part of the list is asked for."""
    with Rules() as rules:
        return page_from_pb(rules, request)


def tools_to_add_from_pb(request: mcp_service_pb2.AddMcpToolsRequest) -> tuple[McpServerId, tuple[str, ...], str]:
    """Return which tools to add: server, names, prefix."""
    with Rules() as rules:
        server_id = rules.id("mcp_server_id", "mcp", request.mcp_server_id)
        names = rules.at_most("names", request.names, _MAX_NAMES)
        if not _PREFIX.fullmatch(request.prefix):
            rules.broken("prefix", "must be at most 32 of a-z A-Z 0-9 _ -")
    return McpServerId(server_id), tuple(dict.fromkeys(names)), request.prefix
