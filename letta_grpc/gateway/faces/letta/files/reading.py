"""An agent of an agent file → an agent file of ours, and what of it has no place here.

Rule: nothing is lost in silence. What cannot be kept is refused, or named in `left_out`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from letta_grpc.gateway.faces.letta.agent_requests import filled_block, kind_in, secrets_in, settings_in, window_in
from letta_grpc.gateway.faces.letta.errors import LettaFailure, unprocessable
from letta_grpc.gateway.faces.letta.fields import Body, filled, mapping, objects, strings, text
from letta_grpc.gateway.faces.letta.files.history import History
from letta_grpc.gateway.faces.letta.handles import handle_in, resolved
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.shapes.metadata import kept_metadata
from letta_grpc.gateway.faces.letta.tool_rules import approvals_of, rules_of
from letta_grpc.gateway.faces.letta.tools import INJECTED, python_in, without
from letta_grpc.v1 import agent_files_pb2, agents_pb2, tools_pb2

VERSION = 1
_PLAIN = ("name", "description", "system", "timezone", "tags")
# Of a MEMGPT agent this is how it speaks: no tool of its own.
_SPEAKS = "send_message"
_HEARTBEAT = "request_heartbeat"
# Parts of an agent that mean something and have no place: where they are set, that is told.
_NO_PLACE = ("response_format", "message_buffer_autoclear", "identity_ids", "compaction_settings", "initial_message_sequence")
_NO_PLACE_IN_FILE = ("files", "sources", "mcp_servers", "skills")


@dataclass(slots=True, kw_only=True)
class Reading:
    """What was read of an agent, which stands at `path`. `blocks` are the names in the file of its blocks, in order."""

    path: str
    file: agent_files_pb2.AgentFile
    secrets: Mapping[str, str]
    blocks: list[str]
    left_out: list[str] = field(default_factory=list)


def agents_in(file: Body) -> list[Body]:
    """Return the agents of a file. Raises Failure for what is no agent file."""
    agents = objects(file, "agents")
    if not agents:
        raise unprocessable("file", "must be an agent file: a JSON object with `agents`")
    return list(agents)


async def read_agent(ask: Ask, file: Body, place: int, known: Mapping[str, tools_pb2.Tool], model: str | None) -> Reading:
    """Return one agent of a file; `known` are the tools that are here, `model` stands in for the file's. Raises Failure."""
    body, path = agents_in(file)[place], f"agents.{place}"
    left_out = [f"{path}.{name}" for name in _NO_PLACE if body.get(name)]
    left_out += [name for name in _NO_PLACE_IN_FILE if file.get(name) and not place]
    by_id = {str(block.get("id")): block for block in objects(file, "blocks")}
    names = _named(path, "block_ids", strings(body, "block_ids"), by_id)
    tools = _Tools(path, file, known, left_out)
    agent = agents_pb2.Agent(
        kind=kind_in(body),
        model=await resolved(ask, model or handle_in(body) or ""),
        model_settings=settings_in(body, agents_pb2.ModelSettings()),
        memory_blocks=[filled_block(block) for block in (*(by_id[name] for name in names), *objects(body, "memory_blocks"))],
        metadata=kept_metadata(mapping(body, "metadata")),
    )
    agent.tools.extend(tools.of(body, speaks_by_tool=agent.kind == agents_pb2.AGENT_KIND_MEMGPT))
    ruled = {**body, "tool_rules": _rules(path, body, left_out)}
    agent.tool_rules.extend(rules_of(ruled))
    agent.tool_approvals.update(approvals_of(ruled))
    filled(agent, {**{name: body.get(name) for name in _PLAIN}, "context_window": window_in(body)})
    speaks_by_tool = agent.kind == agents_pb2.AGENT_KIND_MEMGPT
    conversation = await ask.aside(_conversation, path, body, speaks_by_tool=speaks_by_tool, left_out=left_out)
    made = agent_files_pb2.AgentFile(version=VERSION, agent=agent, tools=tools.new, conversations=[conversation])
    return Reading(path=path, file=made, secrets=secrets_in(body), blocks=names, left_out=left_out)


def _conversation(path: str, body: Body, *, speaks_by_tool: bool, left_out: list[str]) -> agent_files_pb2.ConversationFile:
    return History(path, body, speaks_by_tool=speaks_by_tool, left_out=left_out).conversation()


def _named(path: str, field: str, ids: list[str], by_id: Mapping[str, Body]) -> list[str]:
    for place, id_ in enumerate(ids):
        if id_ not in by_id:
            raise unprocessable(f"{path}.{field}.{place}", f"{id_!r} is not in the file")
    return ids


def _rules(path: str, body: Body, left_out: list[str]) -> list[Body]:
    rules = list(objects(body, "tool_rules"))
    left_out += [
        f"{path}.tool_rules.{place}: it names no tool" for place, rule in enumerate(rules) if not rule.get("tool_name")
    ]
    return [rule for rule in rules if rule.get("tool_name")]


class _Tools:
    """The tools of one agent. `new` are those that come with the file."""

    def __init__(self, path: str, file: Body, known: Mapping[str, tools_pb2.Tool], left_out: list[str]) -> None:
        self._path = path
        self._by_id = {str(tool.get("id")): tool for tool in objects(file, "tools")}
        self._known = known
        self._left_out = left_out
        self.new: list[tools_pb2.Tool] = []

    def of(self, body: Body, *, speaks_by_tool: bool) -> list[str]:
        """Return the names of an agent's tools. Raises Failure."""
        wanted = [self._by_id[id_] for id_ in _named(self._path, "tool_ids", strings(body, "tool_ids"), self._by_id)]
        wanted += [{"name": name} for name in strings(body, "tools")]
        names = []
        for tool in wanted:
            name = text(tool, "name") or ""
            if not (name == _SPEAKS and speaks_by_tool) and self._is_here(name, tool):
                names.append(name)
        return list(dict.fromkeys(names))

    def _is_here(self, name: str, tool: Body) -> bool:
        if not text(tool, "source_code") or str(tool.get("tool_type", "custom")).startswith(("letta_", "external_")):
            if name not in self._known:
                self._left_out.append(f"{self._path}.tools: this server has no tool {name!r}")
            return name in self._known
        try:
            self.new.append(_tool(name, tool))
        except LettaFailure as failure:
            # It needs what no sandbox here has.
            self._left_out.append(f"{self._path}.tools: {name!r}: {failure.message}")
            return name in self._known
        return True


def _tool(name: str, body: Body) -> tools_pb2.Tool:
    schema = mapping(body, "json_schema")
    given = mapping(schema, "parameters") or mapping(body, "args_json_schema")
    # Of agents that speak by tools: there it is added anew.
    parameters = without(given, _HEARTBEAT, *INJECTED) if given else None
    plain = {
        "name": name,
        "description": text(body, "description") or text(schema, "description"),
        "parameters": orjson.dumps(parameters).decode() if parameters else None,
        "tags": strings(body, "tags"),
        "return_char_limit": body.get("return_char_limit"),
        "requires_approval": body.get("default_requires_approval"),
        "parallel": body.get("enable_parallel_execution"),
    }
    return filled(tools_pb2.Tool(python=python_in(body)), plain)
