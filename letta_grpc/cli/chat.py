"""`letta-grpc chat`."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType
from typing import Annotated, Any, cast

import typer
from rich.console import Console

from letta_grpc.cli.console import PipedConsole
from letta_grpc.cli.deciding import Decide, always, asking, nobody
from letta_grpc.cli.demo import DEFAULT_MODEL, default_model
from letta_grpc.cli.embedded import embedded_server
from letta_grpc.cli.exits import Exit, exit_of_run
from letta_grpc.cli.naming import id_of_sync
from letta_grpc.cli.rendering import Json, plain, to_the_minute, visible
from letta_grpc.cli.server import PATIENCE, Server, failures_told, tell_of_wait, with_server
from letta_grpc.cli.transcript import Transcript, waiting_line
from letta_grpc.client import (
    ApprovalAlreadyResolved,
    ApprovalExpired,
    ApprovalPending,
    Client,
    ConversationBusy,
    LettaError,
    Run,
    RunStream,
    approve,
    deny,
)
from letta_grpc.settings import Settings

AGENT_NAME = "chat"
CANCELLING = b"\ncancelling the run; Ctrl-C again leaves\n"
EPILOG = """
Ctrl-C while the agent answers cancels the run, for everyone who follows it; a second one leaves. At the prompt Ctrl-C or
Ctrl-D leaves. A paste of several lines is one message; input that is piped in is taken line by line.

A tool call that waits for approval is asked about: approve it, deny it with a reason, or edit its arguments, in $VISUAL or
$EDITOR if there is one. Ctrl-C leaves it waiting and exits with 7; the next chat asks again, and `letta-grpc runs answer`
answers it from anywhere. Where the input is no terminal nobody is asked: say --approve-all or --deny-all, or the chat ends at
such a call with 7.

\b
Examples:
  letta-grpc chat
  letta-grpc chat --embedded --model scripted/demo
  letta-grpc chat --conversation conv-…
  letta-grpc chat --agent agent-… --target agents.example:443 --tls
"""


@with_server
def chat(
    *,
    agent: Annotated[
        str, typer.Option(help=f"The agent's id or name; else the newest named {AGENT_NAME}, made if none.")
    ] = "",
    model: Annotated[
        str, typer.Option(help=f"The model of the agent that is found or made. Default of a new one: {DEFAULT_MODEL}.")
    ] = "",
    conversation: Annotated[
        str, typer.Option(help="The id of the conversation to go on with; else the agent's default one.")
    ] = "",
    new: Annotated[bool, typer.Option("--new", help="Open a new conversation of the agent.")] = False,
    server: Server,
    embedded: Annotated[bool, typer.Option("--embedded", help="Start a server for this conversation.")] = False,
    database: Annotated[
        str, typer.Option(envvar="LETTA_GRPC_DATABASE", help="What the server of --embedded keeps its data in.")
    ] = Settings.model_fields["database"].default,
    approve_all: Annotated[bool, typer.Option("--approve-all", help="Approve every call that waits for it.")] = False,
    deny_all: Annotated[bool, typer.Option("--deny-all", help="Deny every call that waits for approval.")] = False,
) -> None:
    """Talk with an agent, its reasoning and tool calls included."""
    if approve_all and deny_all:
        raise typer.BadParameter("--approve-all and --deny-all exclude each other")
    if conversation and (agent or model or new):
        raise typer.BadParameter("--conversation says which agent it is: leave --agent, --model and --new out")
    if agent and model:
        raise typer.BadParameter("--model is for the agent that is found or made: `agents update` changes the one of another")
    console = PipedConsole(highlight=False)
    with (
        embedded_server(database) if embedded else nullcontext(server.target) as address,
        failures_told(address),
        Client(address, api_key=server.api_key or None, tls=server.security, retry=PATIENCE, sleep=_sleep_and_tell) as client,
    ):
        chosen = conversation or _conversation_of(client, _agent(client, agent, model), new=new)
        _edit_lines()
        decide = _decider(console, approve_all=approve_all, deny_all=deny_all)
        code = Conversation(client, chosen, console, decide).hold()
    raise typer.Exit(code)


def _sleep_and_tell(seconds: float) -> None:
    # It may come in the midst of a line.
    tell_of_wait(seconds, before="\n")
    time.sleep(seconds)


def _agent(client: Client, agent: str, model: str) -> str:
    if agent:
        return id_of_sync(client, agent)
    for found in client.agents.list(name=AGENT_NAME, descending=True):
        if model in {"", found.model}:
            return found.id
    human = "I know nothing about this person yet."
    return client.agents.create(name=AGENT_NAME, model=model or default_model(), human=human).id


def _conversation_of(client: Client, agent_id: str, *, new: bool) -> str:
    if new:
        return client.conversations.create(agent_id).id
    return next(each.id for each in client.conversations.list(agent_id) if each.is_default)


def _decider(console: Console, *, approve_all: bool, deny_all: bool) -> Decide:
    if approve_all:
        return always(approve())
    if deny_all:
        return always(deny("Denied without being looked at."))
    return asking(console) if sys.stdin.isatty() else nobody


class Conversation:
    """What a person and an agent say to each other in one of the agent's conversations."""

    def __init__(self, client: Client, conversation_id: str, console: Console, decide: Decide) -> None:
        self._client = client
        self._conversation = client.conversations.get(conversation_id)
        self._console = console
        self._decide = decide
        self._is_attended = sys.stdin.isatty()

    def hold(self) -> Exit:
        """Talk until the person leaves, or a call waits that nobody here answers. Return how the last run ended."""
        self._console.print(visible(self._heading()), style="dim", soft_wrap=True, markup=False)
        try:
            code = self._take_up()
            while code is not Exit.WAITING and (text := _read(self._console)) is not None:
                if text:
                    code = self._say(text)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        return code

    def _heading(self) -> str:
        conversation = self._conversation
        model = conversation.model or self._client.agents.get(conversation.agent_id).model
        which = [] if conversation.is_default else [conversation.id]
        return " · ".join([model, conversation.agent_id, *which, *([conversation.title] if conversation.title else [])])

    def _say(self, text: str) -> Exit:
        """Take a turn."""
        try:
            return self._settle(
                self._follow(self._client.stream(self._conversation.agent_id, text, conversation_id=self._conversation.id))
            )
        except (ApprovalPending, ConversationBusy) as error:
            # Of what is piped in the next line would come too early as well.
            if isinstance(error, ConversationBusy) and not self._is_attended:
                raise
            # Another client's run is at work since the last turn, or has come to wait.
            self._console.print(visible(f"Not sent: {error}"), style="red", soft_wrap=True, markup=False)
            return self._take_up()

    def _take_up(self) -> Exit:
        """Ask about the calls that wait already, since an earlier chat or because of another client; show what is at work."""
        for run in self._client.runs.list(conversation_id=self._conversation.id, has_pending_actions=True):
            for action in plain(run)["pendingActions"]:
                self._console.print(waiting_line(action), style="bold yellow", soft_wrap=True, markup=False)
            return self._settle(run)
        if self._is_attended:
            # Protobuf takes an enum's name for its number; its type says numbers alone.
            at_work = cast("Any", ["RUN_STATE_RUNNING"])
            for run in self._client.runs.list(conversation_id=self._conversation.id, states=at_work):
                return self._settle(self._follow(self._client.attach(run.id)))
        return Exit.OK

    def _settle(self, run: Run) -> Exit:
        """Have the calls of a run answered, and of the runs that answer it; return how the last one ended."""
        while waiting := plain(run).get("pendingActions"):
            answers = self._decide(waiting)
            if not answers:
                self._console.print(_left_waiting(run.id, waiting[0]), style="dim", soft_wrap=True, markup=False)
                return Exit.WAITING
            try:
                run = self._follow(self._client.answer(run, answers))
            except (ApprovalAlreadyResolved, ApprovalExpired) as error:
                # Somebody else was faster; other calls may wait still.
                self._console.print(visible(str(error)), style="red", soft_wrap=True, markup=False)
                return self._take_up()
        return exit_of_run(plain(run)["state"])

    def _follow(self, stream: RunStream) -> Run:
        """Show a run to its end, which the person may bring about."""
        transcript = Transcript(self._console)
        with stream, _cancelled_by_interrupt(stream):
            for event in stream:
                transcript.show(plain(event))
            return stream.final()


def _left_waiting(run_id: str, action: Json) -> str:
    until = to_the_minute(action["expireTime"])
    call_id = action["toolCallId"]
    answer = f"--approve {call_id}" if action["kind"] == "ACTION_KIND_APPROVAL" else f"--return {call_id}=TEXT"
    return visible(
        f"It waits until {until} UTC. The next chat asks again; this answers it from anywhere:\n"
        f"letta-grpc runs answer {run_id} {answer}"
    )


def _edit_lines() -> None:
    """Have the arrow keys move in what is typed and bring back what was said, and a paste of several lines be one message."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        # Python is not everywhere built with it. `input` uses it from then on.
        with suppress(ImportError):
            import readline  # noqa: PLC0415 - see above

            readline.parse_and_bind("set enable-bracketed-paste on")


def _read(console: Console) -> str | None:
    """Return what the person says; None when they leave."""
    try:
        return input("you> " if sys.stdin.isatty() else "").strip()
    except (EOFError, KeyboardInterrupt):
        console.print()
        return None


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
