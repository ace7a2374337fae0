"""`letta-grpc runs waiting` and `letta-grpc runs answer`: calls that wait, seen and answered from anywhere."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from letta_grpc.cli.console import PipedConsole
from letta_grpc.cli.exits import Exit, exit_of_run
from letta_grpc.cli.naming import id_of
from letta_grpc.cli.rendering import Json as ProtoJson
from letta_grpc.cli.rendering import columns, json_line, json_text, plain, to_the_minute, word
from letta_grpc.cli.server import Json, RunId, Server, asynchronous, calling
from letta_grpc.cli.transcript import Transcript
from letta_grpc.client import Answer, Answers, Run, approve, deny, tool_return

EPILOG = """
\b
Examples:
  letta-grpc runs answer run-… --approve call_1
  letta-grpc runs answer run-… --approve 'call_1={"amount": 5}' --deny 'call_2=too dear'
  letta-grpc runs answer run-… --return 'call_3=It is sunny.'
"""
Approve = Annotated[
    list[str] | None,
    typer.Option("--approve", metavar="CALL[=JSON]", help="Approve this call, with these arguments; repeat it for several."),
]
Deny = Annotated[
    list[str] | None,
    typer.Option("--deny", metavar="CALL[=REASON]", help="Deny this call; the model is told why. Repeat it for several."),
]
Return = Annotated[
    list[str] | None,
    typer.Option("--return", metavar="CALL=TEXT", help="Say what a client's tool gave for this call; repeat it for several."),
]


@asynchronous
async def waiting(
    *,
    agent: Annotated[str, typer.Option(help="Only calls of this agent, by id or name.")] = "",
    server: Server,
    as_json: Json = False,
) -> Exit:
    """List the calls that wait for answers, those of the oldest run first."""
    async with calling(server) as client:
        agent_id = await id_of(client, agent) if agent else None
        found = [run async for run in client.runs.list(agent_id=agent_id, has_pending_actions=True)]
    rows = [row for run in found for row in _rows(plain(run))]
    if as_json:
        for row in rows:
            typer.echo(json_text(row))
    else:
        header = ("run", "call", "waits for", "until", "tool", "arguments")
        typer.echo(columns(header, [_cells(row) for row in rows]))
    return Exit.OK


@asynchronous
async def answer(
    run_id: RunId,
    *,
    approved: Approve = None,
    denied: Deny = None,
    returned: Return = None,
    server: Server,
    as_json: Json = False,
) -> Exit:
    """Answer calls that a run waits for, and show the run that goes on. What has no answer goes on waiting.

    Exits with 1 if that run failed, with 7 if calls still wait, or wait again.
    """
    async with calling(server) as client:
        run = await client.runs.get(run_id)
        answers = _answers(run, approved or (), denied or (), returned or ())
        transcript = Transcript(PipedConsole(highlight=False))
        async with client.answer(run, answers) as stream:
            async for event in stream:
                if as_json:
                    typer.echo(json_line(event))
                else:
                    transcript.show(plain(event))
            return exit_of_run(plain(await stream.final())["state"])


def _rows(run: ProtoJson) -> Iterator[ProtoJson]:
    for action in run["pendingActions"]:
        yield {"runId": run["id"], "agentId": run["agentId"], **action}


def _cells(row: ProtoJson) -> Sequence[str]:
    until = to_the_minute(row["expireTime"])
    return (row["runId"], row["toolCallId"], word(row["kind"]), until, row["name"], row.get("arguments", ""))


def _answers(run: Run, approved: Sequence[str], denied: Sequence[str], returned: Sequence[str]) -> Answers:
    waiting = [action.tool_call_id for action in run.pending_actions]
    answers: dict[str, Answer] = {}
    for given, make in ((approved, _approve), (denied, deny), (returned, tool_return)):
        for call_id, text in (_split(one, waiting) for one in given):
            if call_id in answers:
                raise typer.BadParameter(f"{call_id} has two answers")
            answers[call_id] = make(text)
    if not answers:
        raise typer.BadParameter("give an answer by --approve, --deny or --return")
    return answers


def _approve(arguments: str) -> Answer:
    return approve(arguments or None)


def _split(given: str, waiting: Sequence[str]) -> tuple[str, str]:
    """Return the call that is meant, and what is said of it. Providers may put a `=` into the id of a call."""
    for call_id in waiting:
        if given == call_id or given.startswith(f"{call_id}="):
            return call_id, given[len(call_id) + 1 :]
    # An answer that was given before comes without its call in the list: the server knows whether it is the same.
    call_id, _, text = given.partition("=")
    return call_id, text
