"""Words of others on a terminal: what would be an order to it is written out."""

import json

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.struct_pb2 import Struct

from letta_grpc.cli.console import event_line, json_page
from letta_grpc.cli.rendering import columns, json_text, visible
from letta_grpc.client import Client
from tests.support.server_process import letta_grpc

# Sets a window's title, rings, and colours the rest; the one-byte form of ESC [ does the same.
EVIL = "evil\x1b]0;pwn\x07\x1b[31m\x9bRED\x7f"
SHOWN = r"evil\u001b]0;pwn\u0007\u001b[31m\u009bRED\u007f"


@pytest.fixture
def evil_id(address: str) -> str:
    with Client(address) as client:
        return client.agents.create(name=f"{EVIL}\nsecond line", human=EVIL, model="scripted/script").id


def test_control_characters_are_written_out_but_for_the_ends_of_lines() -> None:
    assert visible(f"{EVIL}\n\tü 字") == f"{SHOWN}\n\tü 字"
    assert visible("one\r\ntwo") == "one\ntwo"
    assert visible("\r") == r"\u000d"


def test_a_cell_stays_on_its_line() -> None:
    assert columns(("name",), [("one\ntwo\t",)]) == "name\none\\u000atwo\\u0009"


def test_an_event_stays_on_its_line() -> None:
    line = event_line({"sequenceNumber": 1, "toolCallDelta": {"name": EVIL, "arguments": "{\n}"}})
    assert line.plain.endswith(f"{SHOWN} {{\\u000a}}")


def test_json_means_the_same_and_holds_no_control_character() -> None:
    assert json.loads(json_text(EVIL)) == EVIL
    assert SHOWN in json_text(EVIL)


def test_a_page_of_json_means_the_same_and_holds_no_order() -> None:
    page = json_page(ParseDict({"name": f"{EVIL}\n"}, Struct())).plain
    assert json.loads(page) == {"name": f"{EVIL}\n"}
    assert SHOWN in page


def test_a_name_is_no_order_to_the_terminal(address: str, evil_id: str) -> None:
    listed = letta_grpc("agents", "list", "--target", address)
    (row,) = [line for line in listed.stdout.splitlines() if evil_id in line]
    assert rf"{SHOWN}\u000asecond line" in row
    shown = letta_grpc("agents", "get", evil_id, "--target", address)
    assert f"[human]\n{SHOWN}\n" in shown.stdout
    (agent,) = [
        agent
        for agent in map(json.loads, letta_grpc("agents", "list", "--json", "--target", address).stdout.splitlines())
        if agent["id"] == evil_id
    ]
    assert agent["name"] == f"{EVIL}\nsecond line"


def test_what_a_model_says_is_no_order_to_the_terminal(address: str, evil_id: str) -> None:
    said = json.dumps([[{"reasoning": EVIL}, {"text": f"{EVIL}\nthe end"}]])
    talk = letta_grpc("chat", "--agent", evil_id, "--target", address, stdin=f"{said}\n")
    assert talk.returncode == 0, talk.stderr
    assert f"{SHOWN}\n{SHOWN}\nthe end\n" in talk.stdout


def test_what_is_kept_of_a_conversation_is_no_order_to_the_terminal(address: str) -> None:
    with Client(address) as client:
        agent = client.agents.create(model="scripted/echo", human=EVIL)
        conversation = client.conversations.create(agent.id, title=EVIL)
        client.runs.execute(agent.id, EVIL, conversation_id=conversation.id)
    listed = letta_grpc("conversations", "list", "--agent", agent.id, "--target", address)
    assert listed.stdout.count(SHOWN) == 2
    assert letta_grpc("conversations", "messages", conversation.id, "--target", address).stdout.count(SHOWN) == 2
    assert letta_grpc("chat", "--conversation", conversation.id, "--target", address).stdout.count(SHOWN) == 1
    assert letta_grpc("agents", "memory", "get", agent.id, "human", "--target", address).stdout == f"{SHOWN}\n"


def test_what_an_agent_has_is_no_order_where_a_change_is_refused(address: str) -> None:
    with Client(address) as client:
        agent = client.agents.create(model="scripted/echo", tags=[EVIL])
    refused = letta_grpc("agents", "update", agent.id, "--no-tag", "x", "--target", address)
    assert refused.returncode == 2
    assert f"--no-tag x: the agent has {SHOWN}\n" in refused.stderr
