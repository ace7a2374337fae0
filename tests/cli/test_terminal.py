"""`letta-grpc chat` as a person sees it, in a real terminal."""

import json
import shlex
from typing import Any

import pytest

from letta_grpc.client import Client, deny
from tests.support.server_process import BIN, letta_grpc
from tests.support.terminal import Terminal, terminal

pytestmark = pytest.mark.timeout(120)

NOTE = "archival_memory_insert"
# It never ends by itself: what of it is on the screen was there while it ran.
COUNT = '''
def count() -> str:
    """Count."""
    import sys, time
    print("one", flush=True)
    print("two", flush=True)
    print("careful", file=sys.stderr, flush=True)
    while True:
        time.sleep(0.05)
'''
DIM = "\x1b[2"


def command(address: str, agent_id: str) -> tuple[str, ...]:
    return (str(BIN / "letta-grpc"), "chat", "--agent", agent_id, "--target", address)


def note(call_id: str, text: str) -> dict[str, Any]:
    return {"tool_call": {"id": call_id, "name": NOTE, "arguments": {"text": text}}}


def careful(address: str) -> str:
    """An agent that asks before it keeps a note."""
    with Client(address) as client:
        return client.agents.create(model="scripted/script", tools=[NOTE], tool_approvals={NOTE: True}).id


def ask(chat: Terminal, *turns: list[dict[str, Any]]) -> None:
    chat.wait_for_line("you>")
    chat.type(json.dumps(turns))


def test_reasoning_tool_calls_and_what_tools_write_are_shown_while_they_happen(address: str) -> None:
    with Client(address) as client:
        client.tools.upsert(COUNT)
        agent_id = client.agents.create(model="scripted/script", tools=["count"]).id
    with terminal(*command(address, agent_id)) as chat:
        ask(chat, [{"reasoning": "I had better count."}, {"text": "Counting."}, {"tool_call": {"name": "count"}}])
        chat.wait_for_line("  │ careful")
        lines = chat.wait_for_line("  │ two")
        begin = lines.index("I had better count.")
        assert lines[begin : begin + 3] == ["I had better count.", "Counting.", "→ count {}"]
        assert lines.index("  │ one") < lines.index("  │ two")
        assert not [line for line in lines if line.startswith("←")]
        (reasoning,) = [line for line in chat.screen(escapes=True) if "I had better count." in line and "you>" not in line]
        assert DIM in reasoning
        chat.press("C-c")
        chat.wait_for_line("ended: cancelled")
        chat.wait_for_line("you>", times=2)


def test_what_is_typed_is_edited_and_brought_back_and_what_is_pasted_is_one_message(address: str) -> None:
    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/echo").id
    with terminal(*command(address, agent_id)) as chat:
        chat.wait_for_line("you>")
        for key in ("Helo", "Left", "l", "Enter"):
            chat.press(key)
        chat.wait_for_line("Hello")
        chat.wait_for_line("you>", times=2)
        for key in ("Up", "!", "Enter"):
            chat.press(key)
        chat.wait_for_line("Hello!")
        chat.wait_for_line("you>", times=3)
        chat.paste("one\ntwo\n")
        chat.wait_for_line("you> one")
        chat.press("Enter")
        chat.wait_for_line("two", times=2)
    with Client(address) as client:
        said = [message.content[0].text for message in client.agents.messages(agent_id) if not message.model]
    assert said == ["Hello", "Hello!", "one\ntwo"]


def test_a_person_approves_denies_and_edits(address: str) -> None:
    agent_id = careful(address)
    # An editor that a test can do without a person: it has no screen, and changes a word.
    with terminal(*command(address, agent_id), EDITOR="sed -i s/wine/water/") as chat:
        ask(chat, [note("a", "milk"), note("b", "gold"), note("c", "wine")], [{"text": "Noted."}])
        lines = chat.wait_for_line(f"{NOTE}: [a]pprove  [d]eny (reason)  [e]dit arguments >")
        assert f'? {NOTE} {{"text": "gold"}}  waits for approval: b' in lines
        chat.type("what?")
        chat.wait_for_line("a, d or e")
        chat.type("a")
        chat.wait_for_line(f"{NOTE}: [a]pprove", times=3)
        chat.type("d")
        chat.wait_for_line("reason>")
        chat.type("far too dear")
        chat.wait_for_line(f"{NOTE}: [a]pprove", times=4)
        chat.type("e")
        lines = chat.wait_for_line("Noted.")
        assert [line for line in lines if line.startswith("← error: ") and "far too dear" in line]
        chat.wait_for_line("you>", times=2)
        chat.press("C-d")
        assert chat.wait_for_exit() == 0
    with Client(address) as client:
        decisions = {one.tool_call_id: one for message in client.agents.messages(agent_id) for one in message.decisions}
    assert json.loads(decisions["c"].approve.arguments) == {"text": "water"}
    assert decisions["b"].deny.reason == "far too dear"


def test_what_ctrl_c_means_in_an_editor_is_the_editors(address: str) -> None:
    agent_id = careful(address)
    on_interrupt = "trap 'sed -i s/wine/water/ $0; exit 0' INT; echo editing; while :; do sleep 0.05; done"
    with terminal(*command(address, agent_id), EDITOR=shlex.join(["sh", "-c", on_interrupt])) as chat:
        ask(chat, [note("a", "wine")], [{"text": "Noted."}])
        chat.wait_for_line("[a]pprove")
        chat.type("e")
        chat.wait_for_line("editing")
        chat.press("C-c")
        chat.wait_for_line("Noted.")
    with Client(address) as client:
        (decision,) = [one for message in client.agents.messages(agent_id) for one in message.decisions]
    assert json.loads(decision.approve.arguments) == {"text": "water"}


def test_a_call_that_is_left_waiting_is_asked_about_by_the_next_chat(address: str) -> None:
    agent_id = careful(address)
    with terminal(*command(address, agent_id)) as chat:
        ask(chat, [note("a", "milk")], [{"text": "Noted."}])
        chat.wait_for_line("[a]pprove")
        chat.press("C-c")
        lines = chat.wait_for_line("letta-grpc runs answer run-")
        assert [line for line in lines if line.startswith("It waits until ")]
        assert chat.wait_for_exit() == 7
    with terminal(*command(address, agent_id), EDITOR="", VISUAL="") as chat:
        chat.wait_for_line(f'? {NOTE} {{"text": "milk"}}  waits for approval: a')
        chat.wait_for_line("[a]pprove")
        chat.type("e")
        chat.wait_for_line("arguments>")
        chat.type("no JSON")
        chat.wait_for_line("That is not JSON")
        chat.type("e")
        chat.wait_for_line("arguments>", times=2)
        chat.type('{"text": "cream"}')
        chat.wait_for_line("Noted.")
        chat.wait_for_line("you>")


def test_a_chat_goes_on_when_somebody_else_answers_or_asks_meanwhile(address: str) -> None:
    agent_id = careful(address)
    with terminal(*command(address, agent_id)) as chat, Client(address) as client:
        ask(chat, [note("a", "milk")], [{"text": "Noted."}])
        chat.wait_for_line("[a]pprove")
        (run,) = client.runs.list(agent_id=agent_id, has_pending_actions=True)
        client.answer(run, {"a": deny("I was faster")}).final()
        chat.type("a")
        chat.wait_for(lambda lines: any("APPROVAL_ALREADY_RESOLVED" in line for line in lines))
        chat.wait_for_line("you>", times=2)
        client.runs.execute(agent_id, json.dumps([[note("b", "tea")], [{"text": "Tea is noted."}]]))
        chat.type("Are you there?")
        chat.wait_for_line("Not sent: ")
        chat.wait_for_line("[a]pprove", times=2)
        chat.type("a")
        chat.wait_for_line("Tea is noted.")
        chat.wait_for_line("you>", times=3)


def test_a_chat_shows_what_another_client_has_set_to_work_before_it_goes_on(address: str) -> None:
    def thinking(text: str) -> str:
        return json.dumps([[{"text": f"{text} "}, {"wait_for_cancel": True}]])

    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/script").id
        first = client.runs.create(agent_id, thinking("Earlier thoughts."))
        with terminal(*command(address, agent_id)) as chat:
            chat.wait_for_line("Earlier thoughts.")
            client.runs.cancel(first.id)
            chat.wait_for_line("ended: cancelled")
            chat.wait_for_line("you>")
            client.runs.create(agent_id, thinking("Later thoughts."))
            chat.type("Are you there?")
            chat.wait_for_line("Not sent: ")
            chat.wait_for_line("Later thoughts.")
            chat.press("C-c")
            chat.wait_for_line("ended: cancelled", times=2)
            ask(chat, [{"text": "Here I am."}])
            chat.wait_for_line("Here I am.")


def test_what_is_piped_into_a_conversation_at_work_is_refused(address: str) -> None:
    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/script").id
        run = client.runs.create(agent_id, json.dumps([[{"wait_for_cancel": True}]]))
        refused = letta_grpc("chat", "--agent", agent_id, "--target", address, stdin="[]\n[]\n")
        client.runs.cancel(run.id)
    assert refused.returncode == 1
    assert f"CONVERSATION_BUSY, active_run_id={run.id}" in refused.stderr
