"""Agents that call agents, over the wire. What a called agent is told is what its scripted model does."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, talk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WAIT, SEND, TAGGED = "send_message_to_agent_and_wait", "send_message_to_agent", "send_message_to_agents_matching_tags"
TOOLS = (WAIT, SEND, TAGGED)
FOR_EVER = json.dumps([[{"text": "thinking"}, {"wait_for_cancel": True}]])


async def caller(wire: Wire, **agent: Any) -> Talk:  # noqa: ANN401 - of any field
    return await talk(wire, "scripted/script", TOOLS, **agent)


def says(text: str) -> str:
    return json.dumps([[{"text": text}]])


def calling(tool: str, call_id: str = "call-1", **arguments: Any) -> str:  # noqa: ANN401 - what the model writes
    return json.dumps([[{"tool_call": {"id": call_id, "name": tool, "arguments": arguments}}], [{"text": "done"}]])


def asking(target: Talk | str, message: str, tool: str = WAIT) -> str:
    return calling(tool, agent=target if isinstance(target, str) else target.agent_id, message=message)


def returned(events: list[events_pb2.RunEvent]) -> messages_pb2.ToolReturn:
    (found,) = [event.tool_return for event in events if event.HasField("tool_return")]
    return found


def children(events: list[events_pb2.RunEvent]) -> list[events_pb2.ChildRunStarted]:
    return [event.child_run_started for event in events if event.HasField("child_run_started")]


async def finished(wire: Wire, run_id: str) -> runs_pb2.Run:
    async with asyncio.timeout(20):
        call = wire.runs.AttachRun(pb.AttachRunRequest(run_id=run_id))
        return run_of([event async for response in call for event in response.events])


async def until(call: Any, payload: str) -> tuple[str, events_pb2.RunEvent]:  # noqa: ANN401 - a call of either channel
    """The stream's run and its first event of a kind."""
    async with asyncio.timeout(20):
        async for response in call:
            for event in response.events:
                if event.WhichOneof("payload") == payload:
                    return response.run_id, event
    raise AssertionError(f"no {payload} came")


@requirement("child_answers")
async def test_an_agent_asks_another_and_gets_its_last_words(wire: Wire) -> None:
    first, second = await caller(wire), await talk(wire, "scripted/script")
    events = await first.ask(asking(second, says("pong")))
    answer = returned(events)
    assert (answer.status, answer.text) == (messages_pb2.TOOL_RETURN_STATUS_SUCCESS, "pong")
    (child,) = children(events)
    assert (child.agent_id, child.tool_call_id) == (second.agent_id, "call-1")
    run = await finished(wire, child.run_id)
    assert list(run.parent_run_ids) == [run_of(events).id]
    assert not run.background
    # It knows whom it speaks with.
    assert [role for role, _ in said(await second.history())] == ["SYSTEM", "USER", "ASSISTANT"]
    assert first.agent_id in said(await second.history())[0][1]
    listed = await wire.runs.ListRuns(pb.ListRunsRequest(parent_run_id=run_of(events).id))
    assert [one.id for one in listed.runs] == [child.run_id]


@requirement("child_answers")
async def test_an_agent_is_found_by_its_name_if_only_one_has_it(wire: Wire) -> None:
    first, name = await caller(wire), f"ada {uuid4()}"
    await talk(wire, "scripted/script", name=name)
    assert returned(await first.ask(asking(name, says("here")))).text == "here"
    await talk(wire, "scripted/script", name=name)
    for target, complaint in ((name, "Several agents"), ("nobody", "no agent"), (f"agent-{uuid4()}", "no agent")):
        answer = returned(await first.ask(asking(target, says("here"))))
        assert answer.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
        assert complaint in answer.text


@requirement("child_answers")
async def test_a_message_can_be_sent_without_waiting(wire: Wire) -> None:
    first, second = await caller(wire), await talk(wire, "scripted/script")
    events = await first.ask(asking(second, FOR_EVER, SEND))
    (child,) = children(events)
    assert returned(events).text == child.run_id
    run = (await wire.runs.GetRun(pb.GetRunRequest(run_id=child.run_id))).run
    # It is nobody's to wait for, and goes on.
    assert (run.state, run.background) == (runs_pb2.RUN_STATE_RUNNING, True)
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=run.id))


@requirement("child_answers")
async def test_all_agents_with_the_tags_are_asked_side_by_side(wire: Wire) -> None:
    tag = f"team {uuid4()}"
    first = await caller(wire, tags=[tag])
    others = [await talk(wire, "scripted/script", tags=[tag], name=f"member {number}") for number in range(3)]
    events = await first.ask(calling(TAGGED, tags=[tag], message=says("present")))
    answers = [json.loads(line) for line in returned(events).text.splitlines()]
    assert {answer["agent_id"] for answer in answers} == {other.agent_id for other in others}
    assert {answer["answer"] for answer in answers} == {"present"}
    assert {child.agent_id for child in children(events)} == {other.agent_id for other in others}
    answer = returned(await first.ask(calling(TAGGED, "call-2", tags=["nobody's"], message="hello")))
    assert answer.status == messages_pb2.TOOL_RETURN_STATUS_ERROR


@requirement("child_failure")
async def test_an_agent_that_does_not_come_to_an_end_is_an_error_that_says_so(wire: Wire) -> None:
    first = await caller(wire)
    failing = await talk(wire, "scripted/script")
    answer = returned(await first.ask(asking(failing, '[[{"error": "MODEL_OVERLOADED"}]]')))
    assert answer.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert "failed" in answer.text
    careful = await talk(wire, "scripted/script", ["archival_memory_insert"], tool_approvals={"archival_memory_insert": True})
    answer = returned(await first.ask(asking(careful, calling("archival_memory_insert", text="milk"))))
    assert "waits for somebody's answer" in answer.text


@requirement("child_failure")
async def test_an_agent_for_which_too_many_wait_is_an_error_that_says_so(wire: Wire) -> None:
    first, second = await caller(wire), await talk(wire, "scripted/script")
    busy_id, _ = await until(wire.runs.StreamRun(second.start(FOR_EVER)), "text_delta")
    late = second.start(says("late"), conflict_policy=runs_pb2.CONFLICT_POLICY_ENQUEUE).run
    for _ in range(100):
        await wire.runs.CreateRun(pb.CreateRunRequest(agent_id=second.agent_id, run=late))
    assert "100 runs are waiting" in returned(await first.ask(asking(second, says("here")))).text
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=busy_id))


@requirement("child_failure")
async def test_an_agent_that_is_stopped_is_an_error_that_says_so(wire: Wire) -> None:
    first, second = await caller(wire), await talk(wire, "scripted/script")
    call = wire.runs.StreamRun(first.start(asking(second, FOR_EVER)))
    run_id, event = await until(call, "child_run_started")
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=event.child_run_started.run_id))
    assert (await finished(wire, run_id)).state == runs_pb2.RUN_STATE_COMPLETED
    assert "stopped" in said(await first.history())[-2][1]


@requirement("child_no_circle")
async def test_nobody_calls_himself_or_who_has_called_him(wire: Wire) -> None:
    first, second = await caller(wire), await caller(wire)
    own = returned(await first.ask(asking(first, says("hello"))))
    assert own.status == messages_pb2.TOOL_RETURN_STATUS_ERROR
    assert "itself" in own.text
    events = await first.ask(asking(second, asking(first, says("hello"))))
    back = [text for role, text in said(await second.history()) if role == "TOOL"]
    assert "has called you" in back[0]
    assert returned(events).text == "done"


@requirement("child_no_circle")
async def test_two_agents_that_wait_for_each_other_by_different_ways_are_told(wire: Wire) -> None:
    """Each is busy with a person's request, and its call waits behind the other's."""
    first, second = await caller(wire), await caller(wire)
    slow = json.dumps([[{"delay_ms": 300}, *json.loads(asking(second, says("x")))[0]], [{"text": "done"}]])
    slower = json.dumps([[{"delay_ms": 600}, *json.loads(asking(first, says("y")))[0]], [{"text": "done"}]])
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        asked = [group.create_task(first.ask(slow)), group.create_task(second.ask(slower))]
    ends = [run_of(task.result()).state for task in asked]
    assert ends == [runs_pb2.RUN_STATE_COMPLETED] * 2
    assert any("waits for you itself" in returned(task.result()).text for task in asked)


@requirement("child_cancel")
async def test_a_cancel_reaches_who_is_waited_for_within_a_second(wire: Wire) -> None:
    first, second, third = await caller(wire), await caller(wire), await talk(wire, "scripted/script")
    call = wire.runs.StreamRun(first.start(asking(second, asking(third, FOR_EVER))))
    run_id, event = await until(call, "child_run_started")
    child_id = event.child_run_started.run_id
    _, event = await until(wire.runs.AttachRun(pb.AttachRunRequest(run_id=child_id)), "child_run_started")
    grandchild_id = event.child_run_started.run_id
    await until(wire.runs.AttachRun(pb.AttachRunRequest(run_id=grandchild_id)), "text_delta")
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=run_id))
    async with asyncio.timeout(1):
        for one in (run_id, child_id, grandchild_id):
            assert (await finished(wire, one)).state == runs_pb2.RUN_STATE_CANCELLED
    await third.goes_on()


@requirement("child_cancel")
async def test_a_cancel_reaches_a_call_that_still_waits_in_line(wire: Wire) -> None:
    first, second = await caller(wire), await talk(wire, "scripted/script")
    busy_id, _ = await until(wire.runs.StreamRun(second.start(FOR_EVER)), "text_delta")
    call = wire.runs.StreamRun(first.start(asking(second, says("never"))))
    run_id, event = await until(call, "child_run_started")
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=run_id))
    async with asyncio.timeout(1):
        assert (await finished(wire, event.child_run_started.run_id)).state == runs_pb2.RUN_STATE_CANCELLED
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=busy_id))
    await finished(wire, busy_id)
    assert "never" not in str(said(await second.history()))
