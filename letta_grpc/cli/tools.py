"""`letta-grpc tools`."""

from pathlib import Path
from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.files import PIPED, existing, text_in
from letta_grpc.cli.named_values import FROM_VARIABLE, METAVAR, named_values
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, plain, print_list, visible
from letta_grpc.cli.server import Json, Server, asynchronous, calling

tools = typer.Typer(
    name="tools",
    help="Add tools of Python source to the server, list them, try them out and delete them.",
    epilog="Example: letta-grpc tools add dice.py, then letta-grpc tools run roll_dice --arguments '{\"sides\": 6}'",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="The tool's name.")]


@tools.command("list")
@asynchronous
async def list_tools(
    *,
    server: Server,
    as_json: Json = False,
    tag: Annotated[list[str] | None, typer.Option(help="Only tools with this tag; repeat it for several.")] = None,
) -> Exit:
    """List all tools: the built-in ones, then the others, oldest first."""
    async with calling(server) as client:
        found = [tool async for tool in client.tools.list(tags=tag or ())]
    print_list(found, ("name", "source", "approval", "description"), _row, as_json=as_json)
    return Exit.OK


@tools.command()
@asynchronous
async def add(
    file: Annotated[
        Path,
        typer.Argument(help=f"Python that defines one public function; {PIPED}", callback=existing),
    ],
    *,
    requires_approval: Annotated[bool, typer.Option("--requires-approval", help="Its calls wait for approval.")] = False,
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="It may use the network, where the server gives tools one.")
    ] = False,
    idempotent: Annotated[bool, typer.Option("--idempotent", help="It may run again after the server's death.")] = False,
    timeout: Annotated[  # noqa: ASYNC109 - the tool's
        float, typer.Option(min=0.1, max=3600, help="How many seconds one call may take.")
    ] = 60,
    secret: Annotated[list[str] | None, typer.Option(help="A secret of the agent's that it gets; repeat it.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; repeat it for several.")] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Add a tool, or put it in the place of the one that has its name; print its name, by which agents get it."""
    source = _source_of(file)
    async with calling(server) as client:
        tool = await client.tools.upsert(
            source,
            requires_approval=requires_approval,
            allow_network=allow_network,
            idempotent=idempotent,
            timeout=timeout,
            secrets=secret or (),
            tags=tag or (),
        )
    typer.echo(json_line(tool) if as_json else tool.name)
    return Exit.OK


@tools.command()
@asynchronous
async def run(
    name: Name,
    *,
    arguments: Annotated[str, typer.Option(help="The arguments as JSON.")] = "{}",
    secret: Annotated[
        list[str] | None, typer.Option(metavar=METAVAR, help=f"A secret that it declares; {FROM_VARIABLE}")
    ] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Run a tool once, on behalf of no agent; print what it returns. Exits with 1 if it failed.

    What it writes goes to the same streams of this command.
    """
    secrets = named_values(secret)
    async with calling(server) as client:
        result = await client.tools.run(name, arguments, secrets=secrets)
    shown = plain(result)
    if as_json:
        typer.echo(json_line(result))
    else:
        for err, lines in ((False, result.stdout), (True, result.stderr)):
            for line in lines:
                typer.echo(visible(line), err=err)
        typer.echo(visible(str(shown.get("text", shown.get("content", "")))))
    return Exit.FAILED if shown["status"] == "TOOL_RETURN_STATUS_ERROR" else Exit.OK


@tools.command()
@asynchronous
async def delete(name: Name, *, server: Server) -> Exit:
    """Delete a tool, from every agent too."""
    async with calling(server) as client:
        async for tool in client.tools.list(name=name):
            await client.tools.delete(tool.id)
            return Exit.OK
    typer.echo(f"letta-grpc: there is no tool {name}", err=True)
    return Exit.NOT_FOUND


def _source_of(file: Path) -> str:
    try:
        return text_in(file)
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{file} is not UTF-8") from error


def _row(tool: ProtoJson) -> tuple[str, str, str, str]:
    source = next((kind for kind in ("python", "mcp", "builtin") if kind in tool), "")
    first_line = tool.get("description", "").partition("\n")[0]
    return tool["name"], source, "asks" if tool.get("requiresApproval") else "", first_line
