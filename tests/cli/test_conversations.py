"""Conversations on the command line: listed, read, gone on with and deleted."""

import json
from typing import Any

import pytest

from letta_grpc.client import Client, approve, deny
from tests.support.commands import Invoke
from tests.support.server_process import letta_grpc

NOTE = "archival_memory_insert"
NOBODY = "conv-00000000-0000-4000-8000-000000000000"


@pytest.fixture
def agent_id(address: str) -> str:
    with Client(address) as client:
        return client.agents.create(model="scripted/echo").id


def listed(invoke: Invoke, agent_id: str, *arguments: str) -> list[dict[str, Any]]:
    rows = invoke("conversations", "list", "--agent", agent_id, "--json", *arguments)
    assert rows.exit_code == 0, rows.output
    return [json.loads(row) for row in rows.stdout.splitlines()]


def chat(address: str, *arguments: str, stdin: str = "") -> str:
    talk = letta_grpc("chat", "--target", address, *arguments, stdin=stdin)
    assert talk.returncode == 0, talk.stderr
    return talk.stdout


def test_conversations_are_listed_with_what_tells_them_apart(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        titled = client.conversations.create(agent_id, title="About tea")
        client.runs.execute(agent_id, f"Tea is {'very ' * 20}good.", conversation_id=titled.id)
        empty = client.conversations.create(agent_id)
        client.runs.execute(agent_id, f"两行\n{'字' * 60}")
    newest, second, default = invoke("conversations", "list", "--agent", agent_id).stdout.splitlines()[1:]
    assert newest.split()[0] == empty.id
    assert second.split()[:3] == [titled.id, "About", "tea"]
    assert second.endswith("Tea is very very very very very very very very ve…")
    assert "(the default one)" in default
    # Not every language has spaces.
    assert default.endswith(f"两行 {'字' * 46}…")
    assert [one["id"] for one in listed(invoke, agent_id)][:2] == [empty.id, titled.id]
    assert [one["id"] for one in listed(invoke, agent_id, "--limit", "1")] == [empty.id]


def test_what_was_said_is_read_whole_or_from_its_end(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        other = client.conversations.create(agent_id).id
        client.runs.execute(agent_id, "In the default one.")
        for text in ("First.", "Second."):
            client.runs.execute(agent_id, text, conversation_id=other)
    read = invoke("conversations", "messages", other).stdout.splitlines()
    assert [line.partition("  ")[2] or line for line in read] == ["user> First.", "First.", "user> Second.", "Second."]
    assert invoke("conversations", "messages", other, "--last", "2").stdout.splitlines() == read[2:]
    assert invoke("conversations", "messages", "--agent", agent_id).stdout.endswith(
        "user> In the default one.\nIn the default one.\n"
    )
    messages = [json.loads(line) for line in invoke("conversations", "messages", other, "--json").stdout.splitlines()]
    assert [message["role"] for message in messages] == ["ROLE_USER", "ROLE_ASSISTANT"] * 2


def test_calls_decisions_and_returns_are_read_as_a_chat_shows_them(invoke: Invoke, address: str) -> None:
    calls = [{"tool_call": {"id": one, "name": NOTE, "arguments": {"text": one}}} for one in "ab"]
    free = {"tool_call": {"name": "conversation_search", "arguments": {"query": "nothing"}}}
    turns = [[{"reasoning": "Let me note."}, {"text": "Noting."}, *calls], [free], [{"text": "Done."}]]
    with Client(address) as client:
        agent = client.agents.create(model="scripted/script", tools=[NOTE, "conversation_search"], tool_approvals={NOTE: True})
        run = client.runs.execute(agent.id, json.dumps(turns)).run
        client.answer(run, {"a": approve('{"text": "c"}'), "b": deny("too dear")}).final()
    lines = invoke("conversations", "messages", run.conversation_id).stdout.splitlines()
    assert lines[1:7] == [
        "Let me note.",
        "Noting.",
        f'? {NOTE} {{"text": "a"}}  asks for an answer: a',
        f'? {NOTE} {{"text": "b"}}  asks for an answer: b',
        'approved: a {"text": "c"}',
        "denied: b too dear",
    ]
    assert lines[8].startswith("← error: ")
    assert lines[9] == '→ conversation_search {"query": "nothing"}'
    assert lines[-1] == "Done."


def test_what_an_agent_says_by_a_tool_is_read_once(invoke: Invoke, address: str) -> None:
    turns = [
        [{"tool_call": {"name": NOTE, "arguments": {"text": "tea", "request_heartbeat": True}}}],
        [{"tool_call": {"name": "send_message", "arguments": {"message": "Noted."}}}],
    ]
    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/script", kind="memgpt").id
        client.runs.execute(agent_id, json.dumps(turns))
    lines = invoke("conversations", "messages", "--agent", agent_id).stdout.splitlines()
    assert lines[1].startswith(f"→ {NOTE} ")
    assert '  server> {"type": "heartbeat"' in lines[3]
    assert lines[4:] == ["Noted."]


def test_a_conversation_is_gone_on_with(invoke: Invoke, address: str, agent_id: str) -> None:
    assert "One." in chat(address, "--agent", agent_id, "--new", stdin="One.\n")
    (new, default) = listed(invoke, agent_id)
    told = chat(address, "--conversation", new["id"], stdin="Two.\n")
    assert told.splitlines()[0] == f"scripted/echo · {agent_id} · {new['id']}"
    chat(address, "--agent", agent_id, stdin="Elsewhere.\n")
    with Client(address) as client:
        said = {
            each["id"]: [one.content[0].text for one in client.agents.messages(agent_id, conversation_id=each["id"])]
            for each in (new, default)
        }
    assert said == {new["id"]: ["One.", "One.", "Two.", "Two."], default["id"]: ["Elsewhere.", "Elsewhere."]}


def test_a_conversations_own_model_and_title_stand_at_its_head(address: str, agent_id: str) -> None:
    with Client(address) as client:
        new = client.conversations.create(agent_id, title="About tea", model="scripted/demo")
    assert chat(address, "--conversation", new.id) == f"scripted/demo · {agent_id} · {new.id} · About tea\n\n"


def test_a_chat_takes_up_what_waits_in_its_own_conversation(invoke: Invoke, address: str) -> None:
    def script(call_id: str) -> str:
        return json.dumps([[{"tool_call": {"id": call_id, "name": NOTE, "arguments": {"text": "tea"}}}], [{"text": "Noted."}]])

    with Client(address) as client:
        agent_id = client.agents.create(model="scripted/script", tools=[NOTE], tool_approvals={NOTE: True}).id
        other = client.conversations.create(agent_id).id
        client.runs.execute(agent_id, script("default"))
        client.runs.execute(agent_id, script("other"), conversation_id=other)
    assert "Noted." in chat(address, "--conversation", other, "--approve-all")
    waiting = invoke("runs", "waiting", "--agent", agent_id, "--json").stdout.splitlines()
    assert [json.loads(row)["toolCallId"] for row in waiting] == ["default"]


def test_runs_of_a_conversation_are_listed(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        other = client.conversations.create(agent_id).id
        wanted = client.runs.execute(agent_id, "here", conversation_id=other).run.id
        client.runs.execute(agent_id, "elsewhere")
    runs = invoke("runs", "list", "--conversation", other, "--json").stdout.splitlines()
    assert [json.loads(run)["id"] for run in runs] == [wanted]


def test_a_conversation_is_deleted_unless_it_is_the_default_one(invoke: Invoke, address: str, agent_id: str) -> None:
    with Client(address) as client:
        other = client.conversations.create(agent_id).id
    assert invoke("conversations", "delete", other).exit_code == 0
    (default,) = listed(invoke, agent_id)
    refused = invoke("conversations", "delete", default["id"])
    assert (refused.exit_code, listed(invoke, agent_id)) == (1, [default])
    assert "default conversation" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("conversations", "messages"), 2, "give a conversation's id, or an agent with --agent"),
        (("conversations", "messages", NOBODY, "--agent", "agent-1"), 2, "give a conversation's id, or an agent"),
        (("conversations", "messages", NOBODY), 4, "CONVERSATION_NOT_FOUND"),
        (("conversations", "list"), 2, "--agent"),
        (("conversations", "list", "--agent", NOBODY.replace("conv", "agent")), 4, "AGENT_NOT_FOUND"),
        (("chat", "--conversation", NOBODY), 4, "CONVERSATION_NOT_FOUND"),
        (("chat", "--conversation", NOBODY, "--new"), 2, "--conversation says which agent it is"),
        (("chat", "--agent", "agent-1", "--model", "scripted/echo"), 2, "--model is for the agent that is found or made"),
    ],
)
def test_what_is_not_there_or_makes_no_sense_is_told(invoke: Invoke, arguments: tuple[str, ...], code: int, told: str) -> None:
    refused = invoke(*arguments)
    assert (refused.exit_code, refused.stdout) == (code, "")
    assert told in " ".join(refused.stderr.split())
