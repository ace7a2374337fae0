"""Tools of Python source: their requests, and an agent that calls them."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from letta_grpc.v1 import events_pb2, messages_pb2, tools_pb2
from letta_grpc.v1 import tool_service_pb2 as pb
from tests.support.houses import Talk, Wire, talk

# Names of other files' tools are none of this file's business: all of these begin alike.
ADD = '''
def add_{name}(left: int, right: int = 2) -> int:
    """Add two numbers.

    Args:
        left: the one
        right: the other
    """
    print("adding", left)
    return left + right
'''
SLOW = '''
import time

def slow_{name}() -> str:
    """Wait."""
    print("begun", flush=True)
    time.sleep(1000)
    return "never"
'''


def python(code: str, **source: Any) -> tools_pb2.PythonSource:  # noqa: ANN401 - of any field
    """A source of Python."""
    return tools_pb2.PythonSource(code=code, **source)


async def made(wire: Wire, source: tools_pb2.PythonSource | str, **fields: Any) -> tools_pb2.Tool:  # noqa: ANN401 - as above
    """Make a tool."""
    chosen = python(source) if isinstance(source, str) else source
    request = pb.CreateToolRequest(tool=tools_pb2.Tool(python=chosen, **fields))
    return (await wire.tools.CreateTool(request)).tool


async def got(wire: Wire, tool_id: str) -> tools_pb2.Tool:
    """A tool as it is stored."""
    return (await wire.tools.GetTool(pb.GetToolRequest(tool_id=tool_id))).tool


async def listed(wire: Wire, **query: Any) -> list[tools_pb2.Tool]:  # noqa: ANN401 - as above
    """All pages of the list."""
    found: list[tools_pb2.Tool] = []
    token = ""
    while True:
        page = await wire.tools.ListTools(pb.ListToolsRequest(page_token=token, page_size=4, **query))
        found += page.tools
        token = page.next_page_token
        if not token:
            return found


def calling(*calls: tuple[str, Mapping[str, object]]) -> str:
    """A turn that calls tools, and one that answers."""
    made_calls = [{"tool_call": {"name": name, "arguments": arguments}} for name, arguments in calls]
    return json.dumps([made_calls, [{"text": "done"}]])


def returns(events: Sequence[events_pb2.RunEvent]) -> list[messages_pb2.ToolReturn]:
    """The returns among the events."""
    return [event.tool_return for event in events if event.WhichOneof("payload") == "tool_return"]


async def agent_with(wire: Wire, *tools: str, **agent: Any) -> Talk:  # noqa: ANN401 - as above
    """An agent that plays scripts, with these tools."""
    return await talk(wire, "scripted/script", tools, **agent)
