"""`letta-grpc mcp`."""

from typing import Annotated

import typer

from letta_grpc.cli.exits import Exit
from letta_grpc.cli.named_values import FROM_VARIABLE, METAVAR, named_values, variable_of_header
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, print_list, visible
from letta_grpc.cli.server import Json, Server, asynchronous, calling
from letta_grpc.client import AsyncClient

mcp = typer.Typer(
    name="mcp",
    help="Register MCP servers with the server, list them and their tools, and add the tools.",
    epilog="Example: letta-grpc mcp add files -- npx some-mcp-server /data, then letta-grpc mcp tools files --add",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="The name that the MCP server was registered under.")]


@mcp.command("list")
@asynchronous
async def list_servers(*, server: Server, as_json: Json = False) -> Exit:
    """List the registered servers, oldest first."""
    async with calling(server) as client:
        found = [mcp_server async for mcp_server in client.mcp_servers.list()]
    print_list(found, ("name", "id", "reached by"), _row, as_json=as_json)
    return Exit.OK


@mcp.command()
@asynchronous
async def add(
    name: Annotated[str, typer.Argument(help="A name for it.")],
    command_line: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND ARGUMENT…]", help="What to run, beside the server, which must allow it: see its --mcp-stdio."
        ),
    ] = None,
    *,
    url: Annotated[str, typer.Option(help="Where it listens, in place of a command.")] = "",
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar=METAVAR, help="Goes with every request; a secret. Of X-Api-Key alone the value is that of $X_API_KEY."
        ),
    ] = None,
    env: Annotated[
        list[str] | None, typer.Option(metavar=METAVAR, help=f"Environment of the command; a secret. {FROM_VARIABLE}")
    ] = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Register an MCP server: a command, or an address. It need not be up. Prints its id."""
    if bool(command_line) == bool(url):
        raise typer.BadParameter("give either --url, or a command behind --")
    if command_line and header:
        raise typer.BadParameter("--header is for an address: what is run gets --env")
    if url and env:
        raise typer.BadParameter("--env is for what is run: an address gets --header")
    environment, headers = named_values(env), named_values(header, variable_of_header)
    async with calling(server) as client:
        if command_line:
            added = await client.mcp_servers.add_command(name, *command_line, environment=environment)
        else:
            added = await client.mcp_servers.add_url(name, url, headers=headers)
    typer.echo(json_line(added) if as_json else added.id)
    return Exit.OK


@mcp.command()
@asynchronous
async def tools(
    name: Name,
    *,
    store: Annotated[bool, typer.Option("--add", help="Add them to the server, so that agents can have them.")] = False,
    prefix: Annotated[str, typer.Option(help="Put before each name that is added.")] = "",
    server: Server,
    as_json: Json = False,
) -> Exit:
    """List the tools that an MCP server has now; with --add, print the names under which agents get them."""
    async with calling(server) as client:
        server_id = await _id_of(client, name)
        mcp_servers = client.mcp_servers
        stored = await mcp_servers.add_tools(server_id, prefix=prefix) if store else ()
        found = stored or await mcp_servers.tools(server_id)
    for tool in found:
        first_line = tool.description.partition("\n")[0]
        typer.echo(json_line(tool) if as_json else visible(f"{tool.name}  {first_line}".rstrip()))
    return Exit.OK


@mcp.command()
@asynchronous
async def delete(name: Name, *, server: Server) -> Exit:
    """Remove an MCP server, with the tools that were added from it."""
    async with calling(server) as client:
        await client.mcp_servers.delete(await _id_of(client, name))
    return Exit.OK


async def _id_of(client: AsyncClient, name: str) -> str:
    async for server in client.mcp_servers.list():
        if name in {server.name, server.id}:
            return server.id
    typer.echo(f"letta-grpc: there is no MCP server {name}", err=True)
    raise typer.Exit(Exit.NOT_FOUND)


def _row(server: ProtoJson) -> tuple[str, str, str]:
    if "http" in server:
        return server["name"], server["id"], server["http"]["url"]
    return server["name"], server["id"], " ".join((server["stdio"]["command"], *server["stdio"].get("arguments", [])))
