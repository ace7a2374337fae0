"""`letta-grpc agents`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, plain, print_list, visible
from letta_grpc.cli.server import Json, Server, asynchronous, calling, pair

agents = typer.Typer(
    name="agents",
    help="Make, list, show and delete agents, and take them along as files.",
    epilog="Example: letta-grpc agents create --name ada --model openai/gpt-4o-mini --human 'Likes short answers.'",
    no_args_is_help=True,
)


class Kind(StrEnum):
    """How an agent speaks."""

    REACT = "react"
    MEMGPT = "memgpt"


AgentId = Annotated[str, typer.Argument(help="The agent's id, agent-….")]


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
async def get(agent_id: AgentId, *, server: Server, as_json: Json = False) -> Exit:
    """Show an agent and what it remembers."""
    async with calling(server) as client:
        agent = await client.agents.get(agent_id)
    typer.echo(json_line(agent) if as_json else _description(plain(agent)))
    return Exit.OK


@agents.command()
@asynchronous
async def create(
    *,
    model: Annotated[str, typer.Option(help="The model, provider/name; scripted/demo needs no key.")],
    name: Annotated[str, typer.Option(help="A name for people; the server makes one up.")] = "",
    persona: Annotated[str, typer.Option(help="What the agent knows about itself.")] = "",
    human: Annotated[str, typer.Option(help="What the agent knows about the person it speaks with.")] = "",
    system: Annotated[str, typer.Option(help="Instructions, in place of the server's own.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat it for several.")] = None,
    kind: Annotated[Kind, typer.Option(help="How it speaks: in plain words, or by tools alone.")] = Kind.REACT,
    tool: Annotated[list[str] | None, typer.Option(help="A tool, in place of the base tools; repeat it.")] = None,
    ask: Annotated[list[str] | None, typer.Option(help="A tool whose calls wait for approval; repeat it.")] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Make an agent; print its id."""
    async with calling(server) as client:
        agent = await client.agents.create(
            model=model,
            name=name,
            persona=persona or None,
            human=human or None,
            system=system,
            tags=tag or (),
            kind=kind.value,
            tools=tool or (),
            tool_approvals=dict.fromkeys(ask or (), True),
        )
    typer.echo(json_line(agent) if as_json else agent.id)
    return Exit.OK


@agents.command()
@asynchronous
async def delete(agent_id: AgentId, *, server: Server) -> Exit:
    """Delete an agent with its conversations and runs."""
    async with calling(server) as client:
        await client.agents.delete(agent_id)
    return Exit.OK


@agents.command("export")
@asynchronous
async def export_agent(
    agent_id: AgentId,
    *,
    without_messages: Annotated[bool, typer.Option("--without-messages", help="Leave out what was said.")] = False,
    without_notes: Annotated[bool, typer.Option("--without-notes", help="Leave out its archive.")] = False,
    server: Server,
) -> Exit:
    """Print an agent as JSON, with its memory, conversations and notes: for `agents import`, here or elsewhere."""
    async with calling(server) as client:
        file = await client.agents.export(agent_id, omit_messages=without_messages, omit_passages=without_notes)
    typer.echo(json_line(file))
    return Exit.OK


@agents.command("import")
@asynchronous
async def import_agent(
    file: Annotated[Path, typer.Argument(help="What `agents export` printed.", exists=True, dir_okay=False)],
    *,
    name: Annotated[str, typer.Option(help="Its name, in place of the file's.")] = "",
    secret: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A secret of the agent's, which no file has; repeat it.")
    ] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Make an agent of a file; print its id. Letta's agent files (.af) come in over HTTP, at /v1/agents/import."""
    secrets = dict(map(pair, secret or ()))
    async with calling(server) as client:
        try:
            agent = await client.agents.import_(file.read_text(encoding="utf-8-sig"), name=name or None, secrets=secrets)
        except ValueError as error:
            told = f"{file}: {visible(str(error).splitlines()[0])}"
            raise typer.BadParameter(f"{told}; Letta's agent files come in over HTTP, at /v1/agents/import") from error
    typer.echo(json_line(agent) if as_json else agent.id)
    return Exit.OK


def _row(agent: ProtoJson) -> tuple[str, str, str, str]:
    return agent["id"], agent["name"], agent["model"], ", ".join(agent.get("tags", []))


def _description(agent: ProtoJson) -> str:
    lines = [f"{agent['name']}  {agent['id']}", f"model  {agent['model']}", f"tools  {', '.join(agent.get('tools', []))}"]
    for block in agent.get("memoryBlocks", []):
        lines += ["", f"[{block['label']}]", block.get("value", "")]
    return visible("\n".join(lines))
