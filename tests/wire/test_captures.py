"""Turns that happened elsewhere, over every wire."""

import asyncio
import json
from typing import Any

import pytest

from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, said, talk
from tests.support.wires import failure_of, fields_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WAITING = json.dumps([[{"text": "well "}, {"wait_for_cancel": True}]])


async def capture(wire: Wire, *texts: str, answer: str = "", **fields: Any) -> runs_pb2.Run:  # noqa: ANN401 - of any field
    request = pb.CaptureMessagesRequest(user_texts=texts, assistant_text=answer, **fields)
    return (await wire.agents.CaptureMessages(request)).run


async def events_of(wire: Wire, run: runs_pb2.Run) -> list[Any]:
    events: list[Any] = []
    async for response in wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id)):
        events += [event for event in response.events if event.WhichOneof("payload") != "heartbeat"]
    return events


async def agent_of(wire: Wire, run: runs_pb2.Run) -> Any:  # noqa: ANN401 - an agent
    return (await wire.agents.GetAgent(pb.GetAgentRequest(agent_id=run.agent_id))).agent


@requirement("capture_kept")
async def test_a_captured_turn_is_told_and_shown_as_it_was_said(wire: Wire) -> None:
    one = await talk(wire)
    run = await capture(wire, "First.", "Second.", answer="Done.", agent_id=one.agent_id, model="some-model-4")
    await events_of(wire, run)
    assert said(await one.history()) == [("USER", "First."), ("USER", "Second."), ("ASSISTANT", "Done.")]
    assert [message.model for message in await one.history()] == ["", "", "some-model-4"]
    context = (await wire.agents.GetContext(pb.GetContextRequest(agent_id=one.agent_id))).context
    assert [message.content[0].text for message in context.messages] == ["First.", "Second.", "Done."]


@requirement("capture_events")
async def test_a_capture_is_a_run_that_asks_no_model(wire: Wire) -> None:
    one = await talk(wire)
    run = await capture(wire, "Hi.", answer="Hello.", agent_id=one.agent_id, metadata={"from": "elsewhere"})
    events = await events_of(wire, run)
    assert [event.WhichOneof("payload") for event in events] == ["run_started", "message_completed", "run_finished"]
    ended = events[-1].run_finished.run
    assert (ended.kind, ended.state) == (runs_pb2.RUN_KIND_CAPTURE, runs_pb2.RUN_STATE_COMPLETED)
    assert dict(ended.metadata) == {"from": "elsewhere"}


async def test_a_turn_without_an_answer_is_kept_as_well(wire: Wire) -> None:
    one = await talk(wire)
    events = await events_of(wire, await capture(wire, "Anybody?", agent_id=one.agent_id))
    assert [event.WhichOneof("payload") for event in events] == ["run_started", "run_finished"]
    assert said(await one.history()) == [("USER", "Anybody?")]


@requirement("capture_agent")
async def test_many_first_captures_of_a_key_make_one_agent(wire: Wire) -> None:
    runs = await asyncio.gather(*(capture(wire, f"{n}", capture_key="many", model="scripted/echo") for n in range(8)))
    assert len({run.agent_id for run in runs}) == 1
    agent = await agent_of(wire, runs[0])
    assert (agent.name, list(agent.tags), agent.model) == ("claude-code-many", ["claude-code"], "scripted/echo")
    assert [block.label for block in agent.memory_blocks] == ["human", "persona", "project"]
    other = await capture(wire, "x", capture_key="other", model="unheard-of")
    assert (await agent_of(wire, other)).name == "claude-code-other"


async def test_without_key_and_credentials_the_capture_agent_is_the_default_one(wire: Wire) -> None:
    run = await capture(wire, "x")
    assert (await agent_of(wire, run)).name == "claude-code-default"


@requirement("capture_queue")
async def test_a_capture_waits_behind_the_run_that_is_at_work(wire: Wire) -> None:
    one = await talk(wire, model="scripted/script")
    busy = (await wire.runs.CreateRun(_create(one, WAITING))).run
    run = await capture(wire, "Meanwhile.", answer="Noted.", agent_id=one.agent_id)
    assert run.state == runs_pb2.RUN_STATE_QUEUED
    await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=busy.id))
    await events_of(wire, run)
    assert said(await one.history())[-2:] == [("USER", "Meanwhile."), ("ASSISTANT", "Noted.")]


def _create(one: Talk, text: str) -> run_service_pb2.CreateRunRequest:
    start = one.start(text)
    return run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=start.run)


async def test_the_same_request_gives_the_same_run_and_one_turn(wire: Wire) -> None:
    one = await talk(wire)
    request_id = "00000000-0000-4000-8000-00000000ca91"
    for _ in range(2):
        run = await capture(wire, "Once.", agent_id=one.agent_id, request_id=f"{request_id[:-12]}{one.agent_id[-12:]}")
        await events_of(wire, run)
    assert said(await one.history()) == [("USER", "Once.")]


async def test_all_that_is_wrong_with_a_capture_is_named(wire: Wire) -> None:
    failure = await failure_of(wire.agents.CaptureMessages(pb.CaptureMessagesRequest(agent_id="x", capture_key="a b")))
    assert set(fields_of(failure)) == {"agent_id", "capture_key", "user_texts"}
