"""`letta-grpc chat`."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from letta_grpc.cli.demo import default_model
from letta_grpc.cli.embedded import embedded_server
from letta_grpc.cli.exits import Exit
from letta_grpc.cli.rendering import Transcript, payload_of, plain
from letta_grpc.cli.server import DEFAULT_TARGET, ApiKey, Target, Tls, refused
from letta_grpc.client import Client, LettaError, RunStream
from letta_grpc.settings import Settings

AGENT_NAME = "chat"
CANCELLING = b"\ncancelling the run; Ctrl-C again leaves\n"
EPILOG = """
Ctrl-C while the agent answers cancels the run, for everyone who follows it; a second one leaves. At the prompt Ctrl-C or
Ctrl-D leaves. Input that is piped in is taken line by line.

\b
Examples:
  letta-grpc chat
  letta-grpc chat --embedded --model scripted/demo
  letta-grpc chat --agent agent-… --target agents.example:443 --tls
"""


def chat(
    *,
    agent: Annotated[str, typer.Option(help=f"The agent's id; else the newest named {AGENT_NAME}, made if none.")] = "",
    model: Annotated[str, typer.Option(help="The model, if an agent has to be made.")] = "",
    target: Target = DEFAULT_TARGET,
    api_key: ApiKey = "",
    tls: Tls = False,
    embedded: Annotated[bool, typer.Option("--embedded", help="Start a server for this conversation.")] = False,
    database: Annotated[
        str, typer.Option(envvar="LETTA_GRPC_DATABASE", help="What the server of --embedded keeps its data in.")
    ] = Settings.model_fields["database"].default,
) -> None:
    """Talk with an agent, its reasoning and tool calls included."""
    with (
        embedded_server(database) if embedded else nullcontext(target) as address,
        Client(address, api_key=api_key or None, tls=tls) as client,
    ):
        try:
            agent_id = agent or _find_or_create(client, model)
            code = _converse(client, client.agents.get(agent_id).id, Console(highlight=False))
        except LettaError as error:
            raise refused(error, address) from error
    raise typer.Exit(code)


def _find_or_create(client: Client, model: str) -> str:
    for found in client.agents.list(name=AGENT_NAME, descending=True):
        if model in {"", found.model}:
            return found.id
    human = "I know nothing about this person yet."
    return client.agents.create(name=AGENT_NAME, model=model or default_model(), human=human).id


def _converse(client: Client, agent_id: str, console: Console) -> Exit:
    console.print(f"{client.agents.get(agent_id).model} · {agent_id}", style="dim")
    code = Exit.OK
    while (text := _read(console)) is not None:
        if text:
            try:
                code = _answer(client.stream(agent_id, text), console)
            except KeyboardInterrupt:
                return Exit.INTERRUPTED
    return code


def _read(console: Console) -> str | None:
    """Return what the person says; None when they leave."""
    try:
        return input("you> " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None


def _answer(stream: RunStream, console: Console) -> Exit:
    """Show a run to its end, which the person may bring about."""
    transcript, code = Transcript(console), Exit.OK
    with stream, _cancelled_by_interrupt(stream):
        for event in stream:
            shown = plain(event)
            transcript.show(shown)
            kind, payload = payload_of(shown)
            if kind == "runFinished" and payload["run"]["state"] == "RUN_STATE_FAILED":
                code = Exit.FAILED
    return code


def _cancel(stream: RunStream) -> None:
    # What goes wrong with the connection is told by the reader, who needs it too.
    with suppress(LettaError):
        stream.cancel()


@contextmanager
def _cancelled_by_interrupt(stream: RunStream) -> Iterator[None]:
    """Make the first Ctrl-C cancel the run; the second one is a KeyboardInterrupt."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        # Neither print nor the channel may be used here: the handler runs in the middle of whatever the reader does with them.
        os.write(sys.stderr.fileno(), CANCELLING)
        threading.Thread(target=_cancel, args=(stream,), name="cancel", daemon=True).start()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
