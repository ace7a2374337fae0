import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from letta_grpc.client import Client
from letta_grpc.client.requests import (
    RunArguments,
    agent_kind,
    answering,
    change,
    input_messages,
    memory_blocks,
    run_spec,
    run_start,
    search_mode,
    silence_limit,
)
from letta_grpc.client.tool_requests import python_tool
from letta_grpc.client.values import duration, timestamp
from letta_grpc.v1 import agents_pb2, archive_service_pb2, blocks_pb2, messages_pb2, run_service_pb2, runs_pb2


def test_strings_are_what_a_person_says_and_messages_stay_as_they_are() -> None:
    note = messages_pb2.InputMessage(system=messages_pb2.SystemInput(text="be brief"))
    said = messages_pb2.InputMessage(user=messages_pb2.UserInput(text="hi"))
    assert input_messages("hi") == [said]
    assert input_messages(note) == [note]
    assert input_messages([note, "hi"]) == [note, said]


def test_what_is_not_given_is_left_to_the_server() -> None:
    spec = run_spec("hi", {})
    assert [field.name for field, _ in spec.ListFields()] == ["messages"]


def test_every_argument_reaches_the_run() -> None:
    spec = run_spec(
        "hi",
        {
            "max_steps": 3,
            "run_timeout": timedelta(minutes=2),
            "conflict_policy": "enqueue",
            "disconnect_policy": "cancel",
            "disconnect_grace": 0.5,
            "approval_timeout": timedelta(hours=1),
            "client_tools": [runs_pb2.ClientTool(name="look")],
            "tool_choice": ["look", "search"],
            "response_format": {"type": "object"},
            "model": "a/b",
            "system": "brief",
            "callback_url": "https://example.org/ended",
            "metadata": {"k": "v"},
            "background": True,
        },
    )
    assert {field.name for field, _ in spec.ListFields()} == set(runs_pb2.RunSpec.DESCRIPTOR.fields_by_name)
    assert spec.run_timeout.seconds == 120
    assert spec.disconnect_grace.ToMilliseconds() == 500
    assert spec.approval_timeout.seconds == 3600
    assert spec.response_format == '{"type": "object"}'
    assert spec.tool_choice == ["look", "search"]
    assert run_spec("hi", {"tool_choice": "look"}).tool_choice == ["look"]
    assert spec.conflict_policy == runs_pb2.CONFLICT_POLICY_ENQUEUE
    assert spec.disconnect_policy == runs_pb2.DISCONNECT_POLICY_CANCEL


@pytest.mark.parametrize(
    ("mistyped", "told"),
    [
        ({"conversation": "x"}, "got an unexpected keyword argument 'conversation'. Did you mean 'conversation_id'?"),
        ({"max_step": 1}, "got an unexpected keyword argument 'max_step'. Did you mean 'max_steps'?"),
        ({"zzz": 1}, "got an unexpected keyword argument 'zzz'"),
    ],
)
def test_a_mistyped_argument_of_a_run_is_refused(mistyped: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as refused:
        run_start("agent-1", "hi", **mistyped)
    assert str(refused.value) == told


def test_a_mistyped_argument_of_a_tool_is_refused() -> None:
    mistyped: Any = {"require_approval": True}
    with pytest.raises(TypeError, match=r"'require_approval'\. Did you mean 'requires_approval'\?"):
        python_tool("def f(): ...", mistyped)


def test_words_count_in_any_case() -> None:
    said: Any = {"conflict_policy": "ENQUEUE", "disconnect_policy": "Cancel"}
    spec = run_spec("hi", said)
    assert spec.conflict_policy == runs_pb2.CONFLICT_POLICY_ENQUEUE
    assert spec.disconnect_policy == runs_pb2.DISCONNECT_POLICY_CANCEL
    spelled: Any = "MemGPT"
    assert agent_kind(spelled) == agents_pb2.AGENT_KIND_MEMGPT
    assert search_mode("meaning") == archive_service_pb2.SEARCH_MODE_MEANING


@pytest.mark.parametrize(
    ("wrong", "kind", "told"),
    [
        ({"conflict_policy": "queue"}, ValueError, "conflict_policy is 'queue'; it must be one of reject, enqueue, interrupt"),
        ({"disconnect_policy": 2}, ValueError, "disconnect_policy is 2; it must be one of continue, cancel"),
        ({"metadata": {"user": 7}}, TypeError, "metadata has 'user': 7; names and values must be str"),
        ({"request_id": 7}, TypeError, "request_id is 7; it must be a UUID, as text or as it is"),
        ({"conversation_id": 7}, TypeError, "conversation_id is 7; it must be a str"),
        ({"run_timeout": float("inf")}, ValueError, "run_timeout is inf; it must end: "),
        ({"disconnect_grace": float("nan")}, ValueError, "disconnect_grace is nan; it must end: "),
        ({"approval_timeout": "1h"}, TypeError, "approval_timeout is '1h'; it must be a timedelta or a number of seconds"),
    ],
)
def test_what_an_argument_cannot_be_is_told_by_its_name(wrong: dict[str, Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind) as refused:
        run_start("agent-1", "hi", **wrong)
    assert str(refused.value).startswith(told)


def test_whatever_has_an_id_does_not_stand_for_it() -> None:
    agent: Any = agents_pb2.Agent(id="agent-1", system="Be brief.")
    run: Any = runs_pb2.Run(id="run-1")
    with Client() as client:
        for start in (client.stream, client.turn, client.runs.execute, run_start):
            with pytest.raises(TypeError, match=r"^agent_id is of type Agent: give its id; it must be a str$"):
                start(agent, "hi")
        with pytest.raises(TypeError, match=r"^run_id is of type Run: give its id"):
            client.attach(run)


def dice() -> str:
    """Roll."""
    return "6"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"tools": [dice]}, "a list of str: what `client.tools.upsert` makes of a function has a name"),
        ({"tools": [7]}, "tools has 7; it must be a list of str"),
        ({"tools": "dice"}, "tools is 'dice'; it must be a list of str, as ['dice']"),
        ({"tags": "team"}, "tags is 'team'; it must be a list of str, as ['team']"),
    ],
)
def test_a_list_of_names_is_no_text_and_has_no_functions(wrong: dict[str, Any], told: str) -> None:
    with Client() as client:
        with pytest.raises(TypeError) as refused:
            client.agents.create(model="scripted/echo", **wrong)
        assert str(refused.value).endswith(told)
        with pytest.raises(TypeError, match="a list of str"):
            client.agents.update("agent-1", **wrong)


def test_other_ways_of_searching_are_refused_with_those_there_are() -> None:
    mistyped: Any = "word"
    with pytest.raises(ValueError, match="mode is 'word'; it must be one of best, words, meaning"):
        search_mode(mistyped)


def test_a_request_id_may_be_a_uuid() -> None:
    chosen = uuid.uuid4()
    assert run_start("agent-1", "hi", request_id=chosen).request_id == str(chosen)


def test_a_time_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        local = timestamp(datetime(2026, 1, 2, 3))  # noqa: DTZ001 - the point of it
    time.tzset()
    assert local == timestamp(datetime(2026, 1, 2, 8, tzinfo=UTC))
    assert timestamp(None) is None


def test_the_answer_of_a_turn_keeps_its_limits_and_leaves_the_rest_to_the_run_that_waits() -> None:
    waiting = runs_pb2.Run(id="run-1", conversation_id="conv-1")
    first: RunArguments = {"request_id": "r", "conflict_policy": "enqueue", "model": "a/b", "max_steps": 3, "background": True}
    assert answering(first, waiting) == {"conversation_id": "conv-1", "max_steps": 3, "background": True}


def test_a_change_names_what_is_given_even_if_it_is_empty() -> None:
    agent, mask = change(agents_pb2.Agent(), {"name": "ada", "description": "", "tools": [], "model": None})
    assert agent == agents_pb2.Agent(name="ada")
    assert list(mask.paths) == ["name", "description", "tools"]


def test_memory_blocks_come_by_value_or_whole() -> None:
    whole = blocks_pb2.Block(id="block-1")
    assert [block.label for block in memory_blocks("p", "h", {"notes": "n"})] == ["persona", "human", "notes"]
    assert memory_blocks(None, None, [whole]) == [whole]
    assert memory_blocks(None, "", None) == [blocks_pb2.Block(label="human")]


@pytest.mark.parametrize(("interval", "limit"), [(None, 45.0), (2.0, 6.0), (0.0, None)])
def test_three_heartbeats_missed_are_too_many(interval: float | None, limit: float | None) -> None:
    assert silence_limit(run_service_pb2.StreamOptions(heartbeat_interval=duration(interval))) == limit
