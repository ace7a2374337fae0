"""From keyword arguments to tools."""

from collections.abc import Sequence
from typing import TypedDict

from letta_grpc.client.functions import Function, source_of
from letta_grpc.client.requests import refuse_unknown
from letta_grpc.client.values import JsonText, Seconds, duration, json_text, names_of
from letta_grpc.v1 import tools_pb2


class ToolArguments(TypedDict, total=False):
    """What a tool is, beside its code: the keyword arguments that `create` and `upsert` share.

    description        what the model is told (the docstring)
    parameters         JSON Schema of the arguments (what the annotations say)
    timeout            how long one call may take, a timedelta or seconds (60 s)
    allow_network      whether it may use the network
    secrets            names of the agent's secrets that it gets, as environment variables
    tags               for listings
    return_char_limit  how many characters of its answer are kept (50000)
    requires_approval  whether its calls wait for approval, unless the agent says otherwise
    idempotent         whether running it twice does what running it once does
    parallel           whether it may run beside other calls of its step (yes)
    """

    description: str
    parameters: JsonText
    timeout: Seconds | None
    allow_network: bool
    secrets: Sequence[str]
    tags: Sequence[str]
    return_char_limit: int | None
    requires_approval: bool
    idempotent: bool
    parallel: bool | None


def python_source(
    code: str | Function,
    *,
    timeout: Seconds | None = None,
    allow_network: bool = False,
    secrets: Sequence[str] = (),
) -> tools_pb2.PythonSource:
    """Return code, or a function's own, with what it may do."""
    return tools_pb2.PythonSource(
        code=source_of(code), timeout=duration(timeout), allow_network=allow_network, secrets=names_of("secrets", secrets)
    )


def python_tool(code: str | Function, arguments: ToolArguments) -> tools_pb2.Tool:
    """Return a tool of Python source. Raises TypeError for an argument that ToolArguments does not know."""
    refuse_unknown(arguments, ToolArguments)
    return tools_pb2.Tool(
        python=python_source(
            code,
            timeout=arguments.get("timeout"),
            allow_network=arguments.get("allow_network", False),
            secrets=arguments.get("secrets", ()),
        ),
        description=arguments.get("description", ""),
        parameters=json_text(arguments.get("parameters")) or "",
        tags=names_of("tags", arguments.get("tags")),
        return_char_limit=arguments.get("return_char_limit"),
        requires_approval=arguments.get("requires_approval", False),
        idempotent=arguments.get("idempotent", False),
        parallel=arguments.get("parallel"),
    )
