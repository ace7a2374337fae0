"""`letta-grpc agents memory`."""

import sys
from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.naming import id_of
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, print_list, visible
from letta_grpc.cli.server import Agent, Json, Server, asynchronous, calling

memory = typer.Typer(
    name="memory",
    help="See and set what an agent always has before it: its memory blocks.",
    epilog="Example: letta-grpc agents memory set agent-… human 'Likes short answers.'",
    no_args_is_help=True,
)
Label = Annotated[str, typer.Argument(help="The block's label, as `human`.")]
_PIPED = "-"


@memory.command("list")
@asynchronous
async def list_blocks(agent: Agent, *, server: Server, as_json: Json = False) -> Exit:
    """List an agent's blocks in the order in which it sees them."""
    async with calling(server) as client:
        blocks = (await client.agents.get(await id_of(client, agent))).memory_blocks
    print_list(blocks, ("label", "characters", "of", "agents may", "what for"), _row, as_json=as_json)
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


def _row(block: ProtoJson) -> tuple[str, str, str, str, str]:
    may = "read" if block.get("readOnly") else "edit"
    return block["label"], str(len(block.get("value", ""))), str(block.get("limit", "")), may, block.get("description", "")
