"""`letta-grpc agents`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.files import PIPED, existing, text_in
from letta_grpc.cli.memory import memory
from letta_grpc.cli.named_values import FROM_VARIABLE, METAVAR, named_values
from letta_grpc.cli.naming import id_of
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, plain, print_list, visible
from letta_grpc.cli.server import Agent, Json, Server, asynchronous, calling

_UPDATE_EPILOG = """
\b
Examples:
  letta-grpc agents update agent-… --model openai/gpt-4o-mini
  letta-grpc agents update agent-… --tool roll_dice --ask roll_dice --no-tag draft
  letta-grpc agents update agent-… --description ''    # the empty text clears
"""
agents = typer.Typer(
    name="agents",
    help="Make, list, show, change and delete agents, and take them along as files.",
    epilog="Example: letta-grpc agents create --name ada --model openai/gpt-4o-mini --human 'Likes short answers.'",
    no_args_is_help=True,
)
agents.add_typer(memory)


class Kind(StrEnum):
    """How an agent speaks."""

    REACT = "react"
    MEMGPT = "memgpt"


@agents.command("list")
@asynchronous
async def list_agents(
    *,
    server: Server,
    as_json: Json = False,
    name: Annotated[str, typer.Option(help="Only agents of this name.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="Only agents with this tag; repeat it for several.")] = None,
) -> Exit:
    """List all agents, oldest first."""
    async with calling(server) as client:
        found = [agent async for agent in client.agents.list(name=name or None, tags=tag or ())]
    print_list(found, ("id", "name", "model", "tags"), _row, as_json=as_json)
    return Exit.OK


@agents.command()
@asynchronous
async def get(agent: Agent, *, server: Server, as_json: Json = False) -> Exit:
    """Show an agent and what it remembers."""
    async with calling(server) as client:
        found = await client.agents.get(await id_of(client, agent))
    typer.echo(json_line(found) if as_json else _description(plain(found)))
    return Exit.OK


@agents.command()
@asynchronous
async def create(
    *,
    model: Annotated[str, typer.Option(help="The model, provider/name; scripted/demo needs no key.")],
    name: Annotated[str, typer.Option(help="A name for people; the server makes one up.")] = "",
    description: Annotated[str, typer.Option(help="What it is for, for people.")] = "",
    persona: Annotated[str, typer.Option(help="What the agent knows about itself.")] = "",
    human: Annotated[str, typer.Option(help="What the agent knows about the person it speaks with.")] = "",
    system: Annotated[str, typer.Option(help="Instructions, in place of the server's own.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat it for several.")] = None,
    kind: Annotated[Kind, typer.Option(help="How it speaks: in plain words, or by tools alone.")] = Kind.REACT,
    tool: Annotated[list[str] | None, typer.Option(help="A tool, in place of the base tools; repeat it.")] = None,
    ask: Annotated[list[str] | None, typer.Option(help="A tool whose calls wait for approval; repeat it.")] = None,
    secret: Annotated[list[str] | None, typer.Option(metavar=METAVAR, help=f"A secret for its tools. {FROM_VARIABLE}")] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Make an agent; print its id."""
    secrets = named_values(secret)
    async with calling(server) as client:
        agent = await client.agents.create(
            model=model,
            name=name,
            description=description,
            persona=persona or None,
            human=human or None,
            system=system,
            tags=tag or (),
            kind=kind.value,
            tools=tool or (),
            tool_approvals=dict.fromkeys(ask or (), True),
            secrets=secrets,
        )
    for missing in sorted(set(ask or ()).difference(agent.tools)):
        typer.echo(f"letta-grpc: nothing will ask about {visible(missing)}: the agent has no such tool", err=True)
    typer.echo(json_line(agent) if as_json else agent.id)
    return Exit.OK


@agents.command(epilog=_UPDATE_EPILOG)
@asynchronous
async def update(
    agent: Agent,
    *,
    name: Annotated[str | None, typer.Option(help="Its name, for people.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for, for people.")] = None,
    model: Annotated[str | None, typer.Option(help="Its model, provider/name.")] = None,
    system: Annotated[str | None, typer.Option(help="Its instructions.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag that it gets; repeat it for several.")] = None,
    no_tag: Annotated[list[str] | None, typer.Option(help="A tag that it loses; repeat it.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="A tool that it gets; repeat it.")] = None,
    no_tool: Annotated[list[str] | None, typer.Option(help="A tool that it loses; repeat it.")] = None,
    ask: Annotated[list[str] | None, typer.Option(help="A tool whose calls wait for approval from now on; repeat it.")] = None,
    no_ask: Annotated[
        list[str] | None, typer.Option(help="A tool whose calls run without being asked about; repeat it.")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(metavar=METAVAR, help=f"A secret that it gets, or another value of it. {FROM_VARIABLE}")
    ] = None,
    no_secret: Annotated[list[str] | None, typer.Option(help="A secret that it loses; repeat it.")] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Change an agent, and show it. What is not named stays; a run at work keeps what it started with."""
    given = (name, description, model, system, tag, no_tag, tool, no_tool, ask, no_ask, secret, no_secret)
    if not any(one or one == "" for one in given):
        raise typer.BadParameter("say what is to change, as --name NAME")
    secrets = named_values(secret)
    pairs = (("tag", tag, no_tag), ("tool", tool, no_tool), ("ask", ask, no_ask), ("secret", list(secrets), no_secret))
    for flag, added, removed in pairs:
        if both := set(added or ()) & set(removed or ()):
            raise typer.BadParameter(f"--{flag} and --no-{flag} exclude each other: {', '.join(sorted(both))}")
    asked = {**dict.fromkeys(ask or (), True), **dict.fromkeys(no_ask or (), False)}
    async with calling(server) as client:
        stands = await client.agents.get(await id_of(client, agent))
        tools = _edited("--no-tool", stands.tools, tool, no_tool)
        has = stands.tools if tools is None else tools
        _require("--ask", has, ask)
        # Of a tool that it has no more as well.
        _require("--no-ask", list(dict.fromkeys((*has, *stands.tools, *stands.tool_approvals))), no_ask)
        # Of the others the server keeps the values, and shows none.
        kept = _edited("--no-secret", list(stands.secrets), list(secrets), no_secret)
        changed = await client.agents.update(
            stands.id,
            name=name,
            description=description,
            model=model,
            system=system,
            tags=_edited("--no-tag", stands.tags, tag, no_tag),
            tools=tools,
            tool_approvals={**stands.tool_approvals, **asked} if asked else None,
            secrets=None if kept is None else {**dict.fromkeys(kept, ""), **secrets},
        )
    typer.echo(json_line(changed) if as_json else _description(plain(changed)))
    return Exit.OK


@agents.command()
@asynchronous
async def delete(agent: Agent, *, server: Server) -> Exit:
    """Delete an agent with its conversations and runs."""
    async with calling(server) as client:
        await client.agents.delete(await id_of(client, agent))
    return Exit.OK


@agents.command("export")
@asynchronous
async def export_agent(
    agent: Agent,
    *,
    without_messages: Annotated[bool, typer.Option("--without-messages", help="Leave out what was said.")] = False,
    without_notes: Annotated[bool, typer.Option("--without-notes", help="Leave out its archive.")] = False,
    server: Server,
) -> Exit:
    """Print an agent as JSON, with its memory, conversations and notes: for `agents import`, here or elsewhere."""
    async with calling(server) as client:
        agent_id = await id_of(client, agent)
        file = await client.agents.export(agent_id, omit_messages=without_messages, omit_passages=without_notes)
    typer.echo(json_line(file))
    return Exit.OK


@agents.command("import")
@asynchronous
async def import_agent(
    file: Annotated[
        Path,
        typer.Argument(help=f"What `agents export` printed; {PIPED}", callback=existing),
    ],
    *,
    name: Annotated[str, typer.Option(help="Its name, in place of the file's.")] = "",
    secret: Annotated[
        list[str] | None, typer.Option(metavar=METAVAR, help=f"A secret of the agent's, which no file has. {FROM_VARIABLE}")
    ] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Make an agent of a file; print its id. Letta's agent files (.af) come in over HTTP, at /v1/agents/import."""
    secrets = named_values(secret)
    async with calling(server) as client:
        try:
            agent = await client.agents.import_(text_in(file), name=name or None, secrets=secrets)
        except ValueError as error:
            told = f"{file}: {visible(str(error).splitlines()[0])}"
            raise typer.BadParameter(f"{told}; Letta's agent files come in over HTTP, at /v1/agents/import") from error
    typer.echo(json_line(agent) if as_json else agent.id)
    return Exit.OK


def _row(agent: ProtoJson) -> tuple[str, str, str, str]:
    return agent["id"], agent["name"], agent["model"], ", ".join(agent.get("tags", []))


def _edited(flag: str, stand: Sequence[str], added: Sequence[str] | None, removed: Sequence[str] | None) -> list[str] | None:
    """Return names with some more and without others; None where there is nothing to change."""
    if not added and not removed:
        return None
    _require(flag, stand, removed)
    return list(dict.fromkeys(name for name in (*stand, *(added or ())) if name not in (removed or ())))


def _require(flag: str, stand: Sequence[str], named: Sequence[str] | None) -> None:
    for name in named or ():
        if name not in stand:
            raise typer.BadParameter(visible(f"{flag} {name}: the agent has {', '.join(stand) or 'none'}"))


def _description(agent: ProtoJson) -> str:
    lines = [f"{agent['name']}  {agent['id']}", f"model  {agent['model']}", f"tools  {', '.join(agent.get('tools', []))}"]
    asks = [name for name, wanted in agent.get("toolApprovals", {}).items() if wanted]
    for word, told in (
        ("asks", ", ".join(asks)),
        ("tags", ", ".join(agent.get("tags", []))),
        ("secrets", ", ".join(sorted(agent.get("secrets", {})))),
        ("about", agent.get("description")),
    ):
        if told:
            lines.append(f"{word:<5}  {told}")
    for block in agent.get("memoryBlocks", []):
        lines += ["", f"[{block['label']}]", block.get("value", "")]
    return visible("\n".join(lines))
