"""How things look in a notebook and at a prompt."""

from datetime import timedelta

from IPython.core.interactiveshell import InteractiveShell

from letta_grpc.client import Accumulator, AsyncClient, Run, displays, load_ipython_extension, run_start
from letta_grpc.v1 import agents_pb2, blocks_pb2, errors_pb2, events_pb2, messages_pb2, runs_pb2
from tests.support.scripted_lanes import Say, Scene, ScriptedLanes, lane_log
from tests.support.scripted_server import AGENT_ID, ScriptedRuns, Turn, log_of, serving


def finished(**more: object) -> Run:
    usage = runs_pb2.Usage(prompt_tokens=120, completion_tokens=7, total_tokens=127)
    timing = runs_pb2.Timing()
    timing.time_to_first_token.FromTimedelta(timedelta(milliseconds=18))
    timing.total.FromTimedelta(timedelta(seconds=2.25))
    return Run(id="run-1", model="a/b", usage=usage, timing=timing, **more)  # type: ignore[arg-type]  # of any field


def test_a_run_says_what_it_came_to() -> None:
    told = "a/b · 120 + 7 tokens · first token after 18 ms · 2.2 s in all"
    run = finished(state=runs_pb2.RUN_STATE_COMPLETED)
    assert displays.run_line(run) == f"run-1 COMPLETED · {told}"
    assert displays.run_markdown(run) == f"**COMPLETED** run-1 · {told}"


def test_a_failed_run_says_why_and_a_waiting_one_for_what() -> None:
    failed = Run(id="run-1", state=runs_pb2.RUN_STATE_FAILED, error=errors_pb2.RunError(reason="RUN_TIMEOUT"))
    assert displays.run_line(failed) == "run-1 FAILED · RUN_TIMEOUT"
    action = runs_pb2.PendingAction(name="pay", arguments='{"to": "a|b"}')
    waiting = displays.run_markdown(Run(id="run-1", state=runs_pb2.RUN_STATE_INTERRUPTED, pending_actions=[action]))
    assert waiting.splitlines()[-3:] == ["| | waits for an answer |", "|---|---|", '| pay | {"to": "a\\|b"} |']


def test_what_was_told_is_the_text_the_calls_and_the_run() -> None:
    so_far = Accumulator()
    call = messages_pb2.ToolCall(id="call-1", name="look", arguments="{}")
    said = messages_pb2.Message(id="message-1", role=messages_pb2.ROLE_ASSISTANT, tool_calls=[call])
    said.content.add(text="Two\n\nlines.")
    returned = messages_pb2.ToolReturn(tool_call_id="call-1", text="sunny")
    for event in (
        events_pb2.RunEvent(message_completed=events_pb2.MessageCompleted(message=said)),
        events_pb2.RunEvent(tool_return=returned),
    ):
        so_far.add(event)
    assert displays.told_markdown(so_far) == "> Two\n>\n> lines.\n\n| | gave |\n|---|---|\n| look({}) | sunny |"


def test_an_agent_and_a_message_show_what_people_ask_for() -> None:
    agent = agents_pb2.Agent(id="agent-1", name="ada", model="a/b", tools=["look"])
    agent.memory_blocks.append(blocks_pb2.Block(label="human", value="Calm.\nKind."))
    assert displays.agent_line(agent) == "agent-1 ada · a/b · look"
    assert displays.agent_markdown(agent).splitlines() == [
        "**ada** agent-1 · a/b",
        "",
        "`look`",
        "",
        "| | memory |",
        "|---|---|",
        "| human | Calm.<br>Kind. |",
    ]
    message = messages_pb2.Message(role=messages_pb2.ROLE_TOOL, tool_returns=[messages_pb2.ToolReturn(text="sunny")])
    assert displays.message_line(message) == "TOOL: sunny"


def test_ipython_shows_them_once_it_is_told_to() -> None:
    shell = InteractiveShell.instance(history_manager=None)
    try:
        load_ipython_extension(shell)
        run = Run(id="run-1", state=runs_pb2.RUN_STATE_RUNNING)
        assert shell.display_formatter
        data, _ = shell.display_formatter.format(run)  # type: ignore[no-untyped-call]  # IPython annotates in part
        assert data == {"text/plain": "run-1 RUNNING", "text/markdown": "**RUNNING** run-1"}
    finally:
        InteractiveShell.clear_instance()


async def test_streams_show_how_far_they_have_come() -> None:
    async with serving(ScriptedRuns([Turn(batches=[log_of(["hi"])])])) as target, AsyncClient(target) as client:
        stream = client.stream(AGENT_ID, "hello")
        assert repr(stream) == "<AsyncRunStream not started>"
        await stream.final()
        assert repr(stream).endswith(" COMPLETED>")
        assert stream._repr_markdown_().startswith("> hi\n\n**COMPLETED** run-")
    server = ScriptedLanes(Scene([Say(0, lane_log(0)), Say(1, refusal=errors_pb2.Refusal(reason="NAME_TAKEN", message="no"))]))
    async with serving(server) as target, AsyncClient(target) as client:
        both = client.stream_many([run_start("agent-0", "hi"), run_start("agent-1", "ho")])
        await both.final()
        assert repr(both) == "<AsyncRunStreams [<Lane 0: run-0 at event 8>, <Lane 1: NameTaken('no', reason='NAME_TAKEN')>]>"
        assert both._repr_markdown_().split("\n\n---\n\n")[1] == "**NameTaken** no (NAME_TAKEN)"
