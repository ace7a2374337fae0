"""`letta-grpc agents memory`."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated

import typer

from letta_grpc.cli.editor import EditingFailedError, chosen_editor, edited
from letta_grpc.cli.exits import Exit
from letta_grpc.cli.naming import id_of
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, print_list, visible
from letta_grpc.cli.server import Agent, Json, Server, asynchronous, calling
from letta_grpc.client import LettaError

memory = typer.Typer(
    name="memory",
    help="See and change what an agent always has before it: its memory blocks.",
    epilog="Example: letta-grpc agents memory set agent-… human 'Likes short answers.'",
    no_args_is_help=True,
)
Label = Annotated[str, typer.Argument(help="The block's label, as `human`.")]
Limit = Annotated[int | None, typer.Option(min=1, help="How many characters it may have.")]
_PIPED = "-"
_EDITOR = "vi"


@memory.command("list")
@asynchronous
async def list_blocks(agent: Agent, *, server: Server, as_json: Json = False) -> Exit:
    """List an agent's blocks in the order in which it sees them."""
    async with calling(server) as client:
        blocks = (await client.agents.get(await id_of(client, agent))).memory_blocks
    print_list(blocks, ("label", "characters", "of", "agents may", "id", "what for"), _row, as_json=as_json)
    return Exit.OK


@memory.command()
@asynchronous
async def get(agent: Agent, label: Label, *, server: Server, as_json: Json = False) -> Exit:
    """Print a block's value."""
    async with calling(server) as client:
        block = await client.agents.block(await id_of(client, agent), label)
    typer.echo(json_line(block) if as_json else visible(block.value))
    return Exit.OK


# A value may begin as an option does, as a list does in Markdown.
@memory.command("set", context_settings={"ignore_unknown_options": True})
@asynchronous
async def set_value(
    agent: Agent,
    label: Label,
    value: Annotated[
        str, typer.Argument(help=f"Its value from now on, for every agent that shares it; `{_PIPED}`: what is piped in.")
    ],
    *,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Give a block another value."""
    text = _piped() if value == _PIPED else value
    async with calling(server) as client:
        block = await client.agents.update_block(await id_of(client, agent), label, value=text)
    if as_json:
        typer.echo(json_line(block))
    return Exit.OK


@memory.command(epilog="The editor is $VISUAL, or $EDITOR, or vi. What has changed meanwhile is not overwritten.")
@asynchronous
async def edit(agent: Agent, label: Label, *, server: Server, as_json: Json = False) -> Exit:
    """Change a block's value in an editor, for every agent that shares it."""
    async with calling(server) as client:
        agent_id = await id_of(client, agent)
        block = await client.agents.block(agent_id, label)
    text = _edited(block.value, label)
    if text == block.value:
        typer.echo("letta-grpc: nothing was changed", err=True)
    else:
        # Not over the same channel: somebody may have written for an hour.
        with _kept_unless_taken(text):
            async with calling(server) as client:
                block = await client.agents.update_block(agent_id, label, value=text, expected_version=block.version)
    if as_json:
        typer.echo(json_line(block))
    return Exit.OK


@memory.command()
@asynchronous
async def update(
    agent: Agent,
    label: Label,
    *,
    new_label: Annotated[str | None, typer.Option(help="Another label.")] = None,
    description: Annotated[str | None, typer.Option(help="What it is for, which agents are told.")] = None,
    limit: Limit = None,
    read_only: Annotated[bool | None, typer.Option(help="Whether agents can only read it.")] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Change a block's label, description or limit, or who may edit it, for every agent that shares it."""
    if all(one is None for one in (new_label, description, limit, read_only)):
        raise typer.BadParameter("say what is to change, as --limit 5000")
    async with calling(server) as client:
        block = await client.agents.update_block(
            await id_of(client, agent), label, new_label=new_label, description=description, limit=limit, read_only=read_only
        )
    if as_json:
        typer.echo(json_line(block))
    return Exit.OK


@memory.command()
@asynchronous
async def add(
    agent: Agent,
    label: Annotated[str, typer.Argument(help="A label that the agent's other blocks do not have.")],
    *,
    value: Annotated[str, typer.Option(help=f"Its value; `{_PIPED}`: what is piped in.")] = "",
    description: Annotated[str, typer.Option(help="What it is for, which agents are told.")] = "",
    limit: Limit = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Agents can only read it.")] = False,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Make a block in an agent's memory; print its id, by which `attach` gives it to other agents too."""
    text = _piped() if value == _PIPED else value
    async with calling(server) as client:
        agent_id = await id_of(client, agent)
        block = await client.blocks.create(label=label, value=text, description=description, limit=limit, read_only=read_only)
        try:
            await client.blocks.attach(agent_id, block.id)
        except LettaError:
            # Nobody would ever find it.
            with suppress(LettaError):
                await client.blocks.delete(block.id)
            raise
    typer.echo(json_line(block) if as_json else block.id)
    return Exit.OK


@memory.command()
@asynchronous
async def attach(
    agent: Agent,
    block_id: Annotated[str, typer.Argument(help="The block's id, block-….")],
    *,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Put a stored block into an agent's memory, which shares it with the agents that have it already."""
    async with calling(server) as client:
        changed = await client.blocks.attach(await id_of(client, agent), block_id)
    if as_json:
        typer.echo(json_line(changed))
    return Exit.OK


@memory.command()
@asynchronous
async def remove(
    agent: Agent,
    label: Label,
    *,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it, for every agent that shares it.")] = False,
    server: Server,
) -> Exit:
    """Take a block out of an agent's memory. It stays; prints its id, by which `attach` puts it back."""
    async with calling(server) as client:
        agent_id = await id_of(client, agent)
        block = await client.agents.block(agent_id, label)
        if delete:
            await client.blocks.delete(block.id)
        else:
            await client.blocks.detach(agent_id, block.id)
    if not delete:
        typer.echo(block.id)
    return Exit.OK


def _edited(value: str, label: str) -> str:
    try:
        return edited(chosen_editor() or _EDITOR, value, f"{label.replace('/', '-')}.md")
    except EditingFailedError as error:
        advice = "" if chosen_editor() else "; $EDITOR names another"
        typer.echo(f"letta-grpc: {visible(str(error))}{advice}", err=True)
        raise typer.Exit(Exit.FAILED) from error


@contextmanager
def _kept_unless_taken(text: str) -> Iterator[None]:
    """Leave a text in a file when the server did not take it, also because of a Ctrl-C: somebody has written it."""
    try:
        yield
    except BaseException:
        with tempfile.NamedTemporaryFile(prefix="letta-grpc-", suffix=".md", delete=False) as file:
            file.write(f"{text}\n".encode())
        typer.echo(f"What you wrote is in {file.name}", err=True)
        raise


def _piped() -> str:
    """Return what is piped in, without the end of its last line, which `get` adds."""
    given = sys.stdin.buffer.read()
    # A command that failed pipes nothing, and its failure is no reason to forget.
    if not given:
        raise typer.BadParameter("nothing was piped in: to empty a block say ''")
    try:
        return given.decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise typer.BadParameter("what is piped in is not UTF-8") from error


def _row(block: ProtoJson) -> tuple[str, ...]:
    may = "read" if block.get("readOnly") else "edit"
    length = len(block.get("value", ""))
    return block["label"], str(length), str(block.get("limit", "")), may, block["id"], block.get("description", "")
