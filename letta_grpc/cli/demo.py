"""`letta-grpc demo`: a server, an agent and a conversation, over real gRPC, with a connection that is really cut."""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule

from letta_grpc.cli.console import PipedConsole
from letta_grpc.cli.embedded import PRIVATE
from letta_grpc.cli.exits import Exit, exit_of_run
from letta_grpc.cli.flags import read_settings
from letta_grpc.cli.logs import configure_logging
from letta_grpc.cli.relay import Relay
from letta_grpc.cli.rendering import Json, payload_of, plain
from letta_grpc.cli.server import Server, calling
from letta_grpc.cli.transcript import Transcript
from letta_grpc.client import Answer, AsyncClient, PendingAction, ToolSandboxUnavailable, approve
from letta_grpc.settings import Settings

SCRIPTED = "scripted/demo"
INTRODUCTION = "Hello! My name is Ada."
QUESTION = "How do your words get to me?"
ORDER = 'Please run launch with {"rocket": "Saturn"}'
# Sent to the server as text; it runs in a sandbox.
TOOL = '''
def launch(rocket: str) -> str:
    """Launch a rocket, after a countdown."""
    import time

    for number in (3, 2, 1):
        print(number, flush=True)
        time.sleep(0.4)
    return f"{rocket} is on its way."
'''
# After how many pieces of text of the second answer the connection is cut.
CUT_AFTER = 12
SECONDS_FOR_A_RUN = 120

# What `default_model` returns, for people.
DEFAULT_MODEL = f"openai/gpt-4o-mini where OPENAI_API_KEY is set, else {SCRIPTED}"
Model = Annotated[str, typer.Option(help=f"The model. Default: {DEFAULT_MODEL}.")]


def default_model() -> str:
    """Return the model for somebody who names none."""
    return "openai/gpt-4o-mini" if os.environ.get("OPENAI_API_KEY") else SCRIPTED


def demo(*, model: Model = "") -> None:
    """Watch an agent answer over gRPC. Needs no key, no service and no input, and leaves nothing behind."""
    with tempfile.TemporaryDirectory(prefix="letta-grpc-") as folder:
        settings = read_settings({}, **PRIVATE, database=f"sqlite:///{Path(folder) / 'demo.db'}")
        configure_logging(settings)
        code = uvloop.run(_demo(settings, model or default_model()))
    raise typer.Exit(code)


async def _demo(settings: Settings, model: str) -> Exit:
    began = time.perf_counter()
    from letta_grpc import app  # noqa: PLC0415 - only the commands that run a server pay for loading one

    console = PipedConsole(highlight=False)
    try:
        async with (
            app.serving(settings) as server,
            Relay(server.address).running() as relay,
            calling(Server(relay.address)) as client,
        ):
            show = Show(console, client, relay)
            await show.introduce(server.address, model, time.perf_counter() - began)
            return Exit.OK if await show.memory() and await show.cut() and await show.tool() else Exit.FAILED
    except app.StartupError as error:
        typer.echo(f"letta-grpc: {error.message}", err=True)
        return Exit.CANNOT_START


class Show:
    """The acts of the demo."""

    def __init__(self, console: Console, client: AsyncClient, relay: Relay) -> None:
        self._console = console
        self._client = client
        self._relay = relay
        self._agent_id = ""

    async def introduce(self, address: str, model: str, seconds: float) -> None:
        """Say what runs here and who answers; make the agent."""
        agent = await self._client.agents.create(
            name="demo", model=model, persona="I am the agent of this demo.", human="I know nothing about this person yet."
        )
        self._agent_id = agent.id
        self._say(f"A server with a database of its own, ready in {seconds:.1f} s, answers gRPC on {address}.")
        if model == SCRIPTED:
            self._say(f"{model} answers: a script, not a language model. Set OPENAI_API_KEY or give --model for a real one.")
        else:
            self._say(f"{model} answers.")

    async def memory(self) -> bool:
        """Stream an answer in which the agent edits its memory."""
        self._act("An answer, as it comes, and a memory that stays")
        before = await self._client.agents.block(self._agent_id, "human")
        state = await self._run(INTRODUCTION)
        after = await self._client.agents.block(self._agent_id, "human")
        self._say(f"memory block [human] before: {before.value!r}")
        self._say(f"memory block [human] after:  {after.value!r}")
        return state == "RUN_STATE_COMPLETED"

    async def cut(self) -> bool:
        """Stream an answer and cut the connection in the middle of it."""
        self._act("The connection is cut in the middle of an answer")
        return await self._run(QUESTION, cut_after=CUT_AFTER) == "RUN_STATE_COMPLETED"

    async def tool(self) -> bool:
        """Let the agent ask before it runs a tool, approve, and show what the tool writes while it runs."""
        self._act("A tool of one's own, which waits for approval and shows its output as it comes")
        try:
            made = await self._client.tools.create(TOOL, requires_approval=True)
        except ToolSandboxUnavailable as error:
            self._say(f"Skipped: {error.message} `letta-grpc doctor` says more.")
            return True
        await self._client.tools.attach(self._agent_id, made.name)
        transcript = self._asked(ORDER)

        def decide(action: PendingAction) -> Answer:
            transcript.line(f"── approved: {action.name}, in your place ──", "bold green")
            return approve()

        async with asyncio.timeout(SECONDS_FOR_A_RUN), self._client.turn(self._agent_id, ORDER, decide=decide) as turn:
            async for event in turn:
                transcript.show(plain(event))
            return exit_of_run(plain(await turn.final())["state"]) is Exit.OK

    async def _run(self, text: str, cut_after: int | None = None) -> str:
        """Show a run, cut off after `cut_after` pieces of text; return its state, empty if not each event came once."""
        transcript, seen, is_cut = self._asked(text), Seen(), False
        async with asyncio.timeout(SECONDS_FOR_A_RUN), self._client.stream(self._agent_id, text) as stream:
            async for event in stream:
                shown = plain(event)
                is_text = seen.add(shown)
                if is_cut and self._relay.accepted > 1:
                    transcript.line(f"── attached again: the first event is {seen.numbers[-1]} ──", "bold green")
                    is_cut = False
                transcript.show(shown)
                if is_text and seen.texts == cut_after:
                    transcript.line(f"── connection cut after event {seen.numbers[-1]} ──", "bold red")
                    self._relay.cut()
                    is_cut = True
        self._say(f"first token after {seen.first_text_seconds * 1000:.0f} ms")
        if is_cut or not seen.is_gapless:
            self._say(f"the stream did not go on as it should: {seen.numbers}")
            return ""
        self._say(f"events 1 to {len(seen.numbers)}: none missing, none twice")
        return seen.state

    def _asked(self, text: str) -> Transcript:
        """Show what is said to the agent; return what its answer is shown by."""
        self._console.print(f"[bold]you[/]    {escape(text)}")
        self._console.print("[bold]agent[/]  ", end="")
        return Transcript(self._console)

    def _act(self, title: str) -> None:
        self._console.print()
        self._console.print(Rule(title, align="left", style="dim"))

    def _say(self, text: str) -> None:
        self._console.print(text, style="dim", soft_wrap=True, markup=False)


class Seen:
    """What has come of a run: which events, how soon the first text, and how it ended."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.numbers: list[int] = []
        self.texts = 0
        self.first_text_seconds = 0.0
        self.state = ""

    @property
    def is_gapless(self) -> bool:
        """Whether each event came once, and in order."""
        return self.numbers == list(range(1, len(self.numbers) + 1))

    def add(self, event: Json) -> bool:
        """Take the next event in; say whether it is a piece of text."""
        self.numbers.append(event["sequenceNumber"])
        kind, payload = payload_of(event)
        if kind == "runFinished":
            self.state = payload["run"]["state"]
        if kind != "textDelta":
            return False
        self.first_text_seconds = self.first_text_seconds or time.perf_counter() - self._began
        self.texts += 1
        return True
