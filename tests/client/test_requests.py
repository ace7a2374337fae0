from datetime import timedelta
from typing import Any

import pytest

from letta_grpc.client.requests import (
    RunArguments,
    answering,
    change,
    duration,
    input_messages,
    memory_blocks,
    run_spec,
    run_start,
    silence_limit,
)
from letta_grpc.client.tool_requests import python_tool
from letta_grpc.v1 import agents_pb2, blocks_pb2, messages_pb2, run_service_pb2, runs_pb2


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
