"""Agents as files: the reference server's, and this one's own."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from google.protobuf.field_mask_pb2 import FieldMask
from starlette.responses import Response

from letta_grpc.gateway.bodies import within_values
from letta_grpc.gateway.faces.letta.errors import unprocessable
from letta_grpc.gateway.faces.letta.fields import Body, filled, mapping, objects, strings
from letta_grpc.gateway.faces.letta.files.exporting import exported
from letta_grpc.gateway.faces.letta.files.imported_tools import ImportedTools
from letta_grpc.gateway.faces.letta.files.limits import with_limits_that_fit
from letta_grpc.gateway.faces.letta.files.reading import Reading, agents_in, read_agent
from letta_grpc.gateway.faces.letta.files.writing import written
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.stored_json import MAX_DEPTH
from letta_grpc.gateway.faces.letta.toolboxes import all_tools, tools_by_name
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.reading import deeper_than
from letta_grpc.v1 import agent_files_pb2, agents_pb2, block_service_pb2
from letta_grpc.v1 import agent_service_pb2 as pb

_FALSE = frozenset({"false", "0", "no"})
_COPY = "_copy"
_LEFT_OUT = "left_out_of_import"
_SLEEPTIME = "sleeptime"


async def export(ask: Ask) -> Response:
    """Write an agent as a file."""
    file, shown = await exported(ask)
    known = await tools_by_name(ask, file.agent.tools)
    tools = [known[name] for name in file.agent.tools if name in known]
    body = orjson.dumps(written(file, shown, tools), option=orjson.OPT_INDENT_2)
    return Response(body, media_type="application/json")


async def import_(ask: Ask) -> Json:
    """Make the agents of a file, all of them or none; the answer names what of it has no place here."""
    file = await ask.aside(_file, ask.body, ask.options)
    if "agent" in file:
        return await _import_own(ask, file)
    made: list[agents_pb2.Agent] = []
    left_out: list[str] = []
    known = {tool.name: tool for tool in await all_tools(ask)}
    model = _text(ask, "model", "override_model_handle")
    file, lowered = with_limits_that_fit(file)
    readings = [await read_agent(ask, file, place, known, model) for place in range(len(agents_in(file)))]
    readings[0].left_out += lowered
    shared: dict[str, str] = {}
    imported = ImportedTools(ask, override=_flag(ask, "override_existing_tools", default=True))
    try:
        for reading in readings:
            await imported.make(reading)
            made.append(await _made(ask, reading, shared))
            left_out += reading.left_out
        left_out += await _grouped(ask, file, made)
    except (Failure, asyncio.CancelledError):
        # Also when the client leaves: it is told no ids, and may send the file again.
        for agent in made:
            await ask.call(ask.services.agents.DeleteAgent, pb.DeleteAgentRequest(agent_id=agent.id))
        await imported.remove()
        raise
    return {"agent_ids": [agent.id for agent in made], "left_out": left_out}


def _file(body: Body, options: GatewayOptions) -> Body:
    found = body.get("file", body)
    if isinstance(found, str | bytes):
        # Of the body it was one value.
        text = within_values(found, options)
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise unprocessable("file", f"must be JSON: {error}") from None
    if deeper_than(found, MAX_DEPTH):
        raise unprocessable("file", f"must be nested no deeper than {MAX_DEPTH} levels")
    if not isinstance(found, dict):
        raise unprocessable("file", "must be an agent file: a JSON object with `agents`")
    return found


async def _import_own(ask: Ask, file: Body) -> Json:
    request = pb.ImportAgentRequest(name=_text(ask, "name", "override_name") or "", secrets=_secrets(ask))
    await ask.aside(filled, request, {"file": file})
    if model := _text(ask, "model", "override_model_handle"):
        request.file.agent.model = model
    if _flag(ask, "strip_messages", default=False):
        _strip(request.file)
    return {"agent_ids": [(await ask.call(ask.services.agents.ImportAgent, request)).agent.id], "left_out": []}


def _strip(file: agent_files_pb2.AgentFile) -> None:
    for conversation in file.conversations:
        del conversation.messages[:]
        del conversation.context_message_ids[:]


async def _made(ask: Ask, reading: Reading, shared: dict[str, str]) -> agents_pb2.Agent:
    """Make one agent. `shared` are blocks of the file that are here already, by their names in it; it grows."""
    file, names = reading.file, reading.blocks
    if _flag(ask, "strip_messages", default=False):
        _strip(file)
    if reading.left_out:
        file.agent.metadata[_LEFT_OUT] = orjson.dumps(reading.left_out).decode()
    blocks = dict(zip(names, file.agent.memory_blocks, strict=False))
    fresh = [block for name, block in blocks.items() if name not in shared]
    own = [*fresh, *file.agent.memory_blocks[len(names) :]]
    del file.agent.memory_blocks[:]
    file.agent.memory_blocks.extend(own)
    request = pb.ImportAgentRequest(file=file, name=_name(ask, file.agent.name), secrets={**reading.secrets, **_secrets(ask)})
    agent = (await ask.call(ask.services.agents.ImportAgent, request)).agent
    for name in names:
        if name in shared:
            attaching = block_service_pb2.AttachBlockRequest(agent_id=agent.id, block_id=shared[name])
            agent = (await ask.call(ask.services.blocks.AttachBlock, attaching)).agent
    by_label = {block.label: block.id for block in agent.memory_blocks}
    shared.update((name, by_label[block.label]) for name, block in blocks.items())
    return agent


async def _grouped(ask: Ask, file: Body, made: Sequence[agents_pb2.Agent]) -> list[str]:
    """Let agents work in the background of others as the file's groups say; return which groups have no place."""
    ids = {str(agent.get("id")): one.id for agent, one in zip(agents_in(file), made, strict=True)}
    left_out = []
    for place, group in enumerate(objects(file, "groups")):
        manager = mapping(group, "manager_config")
        leader = ids.get(str(manager.get("manager_agent_id")))
        others = [ids[name] for name in strings(group, "agent_ids") if name in ids and ids[name] != leader]
        if manager.get("manager_type") != _SLEEPTIME or leader is None or not others:
            left_out.append(f"groups.{place}: {manager.get('manager_type')!r} is no way of working together here")
            continue
        sleeptime = {"agent_ids": others, "every_turns": manager.get("sleeptime_agent_frequency")}
        change = agents_pb2.Agent(sleeptime=filled(agents_pb2.Sleeptime(), sleeptime))
        request = pb.UpdateAgentRequest(agent_id=leader, agent=change, update_mask=FieldMask(paths=["sleeptime"]))
        await ask.call(ask.services.agents.UpdateAgent, request)
    return left_out


def _name(ask: Ask, name: str) -> str:
    if given := _text(ask, "name", "override_name"):
        return given
    return f"{name}{_COPY}" if name and _flag(ask, "append_copy_suffix", default=True) else ""


def _text(ask: Ask, *names: str) -> str | None:
    """Return the first of these that the form, or the query, has."""
    given = (ask.body.get(name) or ask.query(name) for name in names)
    return next((str(value) for value in given if value), None)


def _flag(ask: Ask, name: str, *, default: bool) -> bool:
    given = _text(ask, name)
    return default if given is None else given.lower() not in _FALSE


def _secrets(ask: Ask) -> Mapping[str, str]:
    given: Any = _text(ask, "secrets", "env_vars_json")
    try:
        found = orjson.loads(given) if given else {}
    except orjson.JSONDecodeError as error:
        raise unprocessable("secrets", f"must be JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise unprocessable("secrets", "must be strings by name")
    return found


_LIMITS = "larger limits of blocks than 100000, or than 500000 of one agent together, are lowered to that"
OPERATIONS: Sequence[Operation] = (
    Operation("GET", "/v1/agents/{agent_id}/export", export, "has the whole history, and says what has no place in the file"),
    Operation("POST", "/v1/agents/import", import_, "all of it or nothing; says what has no place here", _LIMITS, upload=True),
)
