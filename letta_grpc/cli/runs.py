"""`letta-grpc runs`."""

from enum import StrEnum
from typing import Annotated, Any, cast

import typer

from letta_grpc.cli.console import PipedConsole, event_line, json_page
from letta_grpc.cli.exits import Exit, exit_of_run
from letta_grpc.cli.naming import id_of
from letta_grpc.cli.pages import LARGEST_PAGE, first
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import json_line, plain, print_list, word
from letta_grpc.cli.server import Json, RunId, Server, asynchronous, calling
from letta_grpc.cli.waiting import EPILOG, answer, waiting

runs = typer.Typer(
    name="runs",
    help="List, show, follow, answer and cancel runs.",
    epilog="Example: letta-grpc runs follow run-… --after 12 goes on behind event 12, whether the run is at work or over.",
    no_args_is_help=True,
)
# Of an event: the contract has an int32 for it.
_LAST_NUMBER = 2**31 - 1


class State(StrEnum):
    """The states of a run, for the filter."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    CANCELLED = "cancelled"


@runs.command("list")
@asynchronous
async def list_runs(
    *,
    agent: Annotated[str, typer.Option(help="Only runs of this agent, by id or name.")] = "",
    conversation: Annotated[str, typer.Option(help="Only runs of this conversation.")] = "",
    state: Annotated[list[State] | None, typer.Option(help="Only runs in this state; repeat it for several.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """List runs, newest first."""
    # Protobuf takes an enum's name for its number; its type says numbers alone.
    states = cast("Any", [f"RUN_STATE_{chosen.name}" for chosen in state or ()])
    async with calling(server) as client:
        size = min(limit, LARGEST_PAGE)
        agent_id = await id_of(client, agent) if agent else None
        pages = client.runs.list(
            agent_id=agent_id, conversation_id=conversation or None, states=states, page_size=size, descending=True
        )
        found = await first(limit, pages)
    print_list(found, ("id", "state", "stop reason", "created", "agent"), _row, as_json=as_json)
    return Exit.OK


@runs.command()
@asynchronous
async def get(run_id: RunId, *, server: Server, as_json: Json = False) -> Exit:
    """Show a run as it stands."""
    async with calling(server) as client:
        run = await client.runs.get(run_id)
    if as_json:
        typer.echo(json_line(run))
    else:
        PipedConsole().print(json_page(run), soft_wrap=True)
    return Exit.OK


@runs.command()
@asynchronous
async def cancel(run_id: RunId, *, server: Server) -> Exit:
    """Ask a run to end. On a finished run this changes nothing."""
    async with calling(server) as client:
        run = plain(await client.runs.cancel(run_id))
    typer.echo(word(run["state"]))
    return Exit.OK


@runs.command()
@asynchronous
async def follow(
    run_id: RunId,
    *,
    after: Annotated[int, typer.Option(min=0, max=_LAST_NUMBER, help="Begin behind this event.")] = 0,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Print a run's events as they come, until it ends. A broken connection is taken up where it broke.

    Exits with 1 if the run failed, with 7 if it waits for answers.
    """
    console = PipedConsole()
    async with calling(server) as client, client.attach(run_id, after=after) as stream:
        async for event in stream:
            if as_json:
                typer.echo(json_line(event))
            else:
                console.print(event_line(plain(event)), soft_wrap=True)
        # Not from the last event: behind that there is nothing to print, and the run has ended as it has.
        return exit_of_run(plain(await stream.final())["state"])


def _row(run: ProtoJson) -> tuple[str, str, str, str, str]:
    return run["id"], word(run["state"]), word(run.get("stopReason", "")), run["createTime"][:19], run["agentId"]


# Files of their own, commands of the same group.
runs.command()(waiting)
runs.command(epilog=EPILOG)(answer)
