"""Several runs on one stream: StreamRuns and Converse, over the wire."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, spec_of, talk
from tests.support.wires import failure_of, fields_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

SLOW_WORDS = json.dumps([[{"repeat": 20, "text": "word ", "delay_ms": 10}]])
FOR_EVER = json.dumps([[{"text": "first"}, {"wait_for_cancel": True}]])
MISSING = f"agent-{uuid4()}"


def start(agent_id: str, text: str, **more: Any) -> pb.RunStart:  # noqa: ANN401 - of any field
    return pb.RunStart(agent_id=agent_id, run=spec_of(text), **more)


async def scripted(wire: Wire, count: int = 1, **agent: Any) -> list[Talk]:  # noqa: ANN401 - of any field
    return [await talk(wire, "scripted/script", **agent) for _ in range(count)]


def by_run(responses: list[pb.StreamRunsResponse]) -> dict[int, list[events_pb2.RunEvent]]:
    found: dict[int, list[events_pb2.RunEvent]] = defaultdict(list)
    for response in responses:
        found[response.start_index] += response.events
    return found


@requirement("several_interleaved")
async def test_three_agents_speak_on_one_stream_in_turn_and_each_run_is_whole(wire: Wire) -> None:
    talks = await scripted(wire, 3)
    async with asyncio.timeout(20):
        call = wire.runs.StreamRuns(pb.StreamRunsRequest(starts=[start(one.agent_id, SLOW_WORDS) for one in talks]))
        responses = [response async for response in call]
    runs = by_run(responses)
    assert sorted(runs) == [0, 1, 2]
    for index, events in runs.items():
        assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))
        assert run_of(events).agent_id == talks[index].agent_id
    ends = {index: max(n for n, r in enumerate(responses) if r.start_index == index) for index in runs}
    begins = {index: min(n for n, r in enumerate(responses) if r.start_index == index) for index in runs}
    # Each had begun before any had ended.
    assert max(begins.values()) < min(ends.values())
    for response in responses:
        assert response.agent_id == talks[response.start_index].agent_id
        assert response.run_id == run_of(runs[response.start_index]).id


@requirement("several_interleaved")
async def test_a_run_that_waits_holds_up_no_other(wire: Wire) -> None:
    waiting, speaking = await scripted(wire, 2)
    call = wire.runs.StreamRuns(
        pb.StreamRunsRequest(starts=[start(waiting.agent_id, FOR_EVER), start(speaking.agent_id, SLOW_WORDS)])
    )
    async with asyncio.timeout(20):
        run_ids = {}
        async for response in call:
            run_ids[response.start_index] = response.run_id
            if response.start_index == 1 and response.events[-1].HasField("run_finished"):
                await wire.runs.CancelRun(pb.CancelRunRequest(run_id=run_ids[0]))
    assert await call.code() == grpc.StatusCode.OK


@requirement("several_refused")
async def test_a_start_that_is_refused_is_told_by_its_place_and_harms_no_other(wire: Wire) -> None:
    (speaking,) = await scripted(wire)
    starts = [start(MISSING, "hello"), start(speaking.agent_id, SLOW_WORDS), start(speaking.agent_id, "[[]]")]
    async with asyncio.timeout(20):
        call = wire.runs.StreamRuns(pb.StreamRunsRequest(starts=starts))
        responses = [response async for response in call]
    runs = by_run(responses)
    refused = {response.start_index: response for response in responses if response.HasField("refusal")}
    assert refused[0].refusal.reason == "AGENT_NOT_FOUND"
    assert refused[0].refusal.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert refused[0].refusal.metadata["agent_id"] == MISSING
    assert refused[0].agent_id == MISSING
    assert not refused[0].run_id
    # Two starts of one conversation: one of them found it busy.
    (busy,) = set(refused) - {0}
    assert refused[busy].refusal.reason == "CONVERSATION_BUSY"
    assert refused[busy].refusal.HasField("retry_delay")
    assert run_of(runs[3 - busy]).state == runs_pb2.RUN_STATE_COMPLETED


@requirement("several_refused")
async def test_a_request_that_breaks_a_rule_starts_nothing(wire: Wire) -> None:
    (one,) = await scripted(wire)
    bad = pb.StreamRunsRequest(starts=[start(one.agent_id, "[[]]"), start(one.agent_id, "[[]]", request_id="no")])
    error = await failure_of(wire.runs.StreamRuns(bad))
    assert set(fields_of(error)) == {"starts[1].request_id"}
    many = pb.StreamRunsRequest(starts=[start(one.agent_id, "[[]]")] * 65)
    assert set(fields_of(await failure_of(wire.runs.StreamRuns(many)))) == {"starts"}
    assert set(fields_of(await failure_of(wire.runs.StreamRuns(pb.StreamRunsRequest())))) == {"starts"}
    assert not await one.history()


async def test_the_run_ids_come_ahead_of_all_in_the_order_of_the_starts(wire: Wire) -> None:
    first, second = await scripted(wire, 2)
    starts = [start(first.agent_id, FOR_EVER), start(MISSING, "hello"), start(second.agent_id, FOR_EVER)]
    call = wire.runs.StreamRuns(pb.StreamRunsRequest(starts=starts))
    async with asyncio.timeout(20):
        ahead = dict(await call.initial_metadata())
        ids = str(ahead["letta-run-id"]).split(",")
    assert ids[1] == ""
    for run_id, one in ((ids[0], first), (ids[2], second)):
        run = (await wire.runs.CancelRun(pb.CancelRunRequest(run_id=run_id))).run
        assert run.agent_id == one.agent_id
    call.cancel()


class Dialogue:
    """A Converse stream and what has come on it, by tag."""

    def __init__(self, call: Any) -> None:  # noqa: ANN401 - a call of either channel
        self.call = call
        self.responses: list[pb.ConverseResponse] = []

    async def send(self, tag: str, **action: Any) -> None:  # noqa: ANN401 - of any field
        await self.call.write(pb.ConverseRequest(tag=tag, **action))

    async def start(self, tag: str, talk: Talk, text: str, **more: Any) -> None:  # noqa: ANN401 - of any field
        await self.send(tag, start=pb.ConverseStart(agent_id=talk.agent_id, run=spec_of(text), **more))

    async def next(self) -> pb.ConverseResponse:
        async with asyncio.timeout(20):
            response = await self.call.read()
        assert response is not grpc.aio.EOF
        self.responses.append(response)
        return response  # type: ignore[no-any-return]  # of a call of either channel

    async def until(self, tag: str, payload: str) -> None:
        """Read until this has come."""
        while not any(event.WhichOneof("payload") == payload for event in self.events(tag)):
            await self.next()

    async def refusal(self, tag: str) -> pb.ConverseResponse:
        while not any(response.tag == tag and response.HasField("refusal") for response in self.responses):
            await self.next()
        return next(response for response in self.responses if response.tag == tag and response.HasField("refusal"))

    def events(self, tag: str) -> list[events_pb2.RunEvent]:
        return [event for response in self.responses if response.tag == tag for event in response.events]

    def run_id(self, tag: str) -> str:
        return next(response.run_id for response in self.responses if response.tag == tag)

    async def rest(self) -> None:
        async with asyncio.timeout(20):
            while (response := await self.call.read()) is not grpc.aio.EOF:
                self.responses.append(response)


@asynccontextmanager
async def conversing(wire: Wire) -> AsyncIterator[Dialogue]:
    call = wire.runs.Converse()
    try:
        yield Dialogue(call)
    finally:
        call.cancel()


@requirement("converse_turns")
async def test_many_turns_go_over_one_stream_and_half_closing_lets_them_end(wire: Wire) -> None:
    first, second = await scripted(wire, 2)
    async with conversing(wire) as dialogue:
        await dialogue.start("a", first, '[[{"text": "one"}]]')
        await dialogue.until("a", "run_finished")
        await dialogue.start("b", first, SLOW_WORDS)
        await dialogue.start("c", second, SLOW_WORDS)
        await dialogue.call.done_writing()
        await dialogue.rest()
        assert await dialogue.call.code() == grpc.StatusCode.OK
    for tag, agent in (("a", first), ("b", first), ("c", second)):
        events = dialogue.events(tag)
        assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))
        assert run_of(events).agent_id == agent.agent_id
        # The first response of each says which run it is, before anything has happened.
        assert next(response for response in dialogue.responses if response.tag == tag).run_id == run_of(events).id


@requirement("converse_refused")
async def test_a_request_that_is_refused_ends_neither_the_stream_nor_what_runs_on_it(wire: Wire) -> None:
    (one,) = await scripted(wire)
    async with conversing(wire) as dialogue:
        await dialogue.start("slow", one, SLOW_WORDS)
        await dialogue.send("missing", start=pb.ConverseStart(agent_id=MISSING, run=spec_of("hello")))
        await dialogue.send("empty")
        await dialogue.send("wrong", cancel=pb.ConverseCancel(run_id="no"))
        await dialogue.start("busy", one, "[[]]")
        await dialogue.send("nowhere", attach=pb.ConverseAttach(run_id=f"run-{uuid4()}"))
        await dialogue.send("x" * 101, cancel=pb.ConverseCancel(run_id="no"))
        await dialogue.call.done_writing()
        await dialogue.rest()
    reasons = {response.tag: response.refusal.reason for response in dialogue.responses if response.HasField("refusal")}
    assert reasons == {
        "missing": "AGENT_NOT_FOUND",
        "empty": "INVALID_REQUEST",
        "wrong": "INVALID_REQUEST",
        "busy": "CONVERSATION_BUSY",
        "nowhere": "RUN_NOT_FOUND",
        # A name that is too long is not said back.
        "": "INVALID_REQUEST",
    }
    assert run_of(dialogue.events("slow")).state == runs_pb2.RUN_STATE_COMPLETED


@requirement("converse_turns")
async def test_a_run_can_be_followed_twice_and_ended_from_the_stream(wire: Wire) -> None:
    (one,) = await scripted(wire)
    async with conversing(wire) as dialogue:
        await dialogue.start("run", one, FOR_EVER)
        await dialogue.until("run", "text_delta")
        run_id = dialogue.run_id("run")
        await dialogue.send("again", attach=pb.ConverseAttach(run_id=run_id, after_sequence_number=1))
        await dialogue.until("again", "text_delta")
        await dialogue.send("ahead", attach=pb.ConverseAttach(run_id=run_id, after_sequence_number=1000))
        refused = await dialogue.refusal("ahead")
        assert (refused.refusal.reason, refused.run_id) == ("CURSOR_AHEAD", run_id)
        await dialogue.send("end", cancel=pb.ConverseCancel(run_id=run_id))
        await dialogue.until("run", "run_finished")
        await dialogue.until("again", "run_finished")
        assert dialogue.run_id("end") == run_id
    assert run_of(dialogue.events("run")).state == runs_pb2.RUN_STATE_CANCELLED
    assert list(dialogue.events("again")) == list(dialogue.events("run"))[1:]


@requirement("converse_turns")
async def test_an_approval_is_asked_for_and_given_on_one_stream(wire: Wire) -> None:
    tools = ["archival_memory_insert"]
    one = await talk(wire, "scripted/script", tools, tool_approvals={"archival_memory_insert": True})
    note = {"tool_call": {"id": "call-1", "name": "archival_memory_insert", "arguments": {"text": "milk"}}}
    async with conversing(wire) as dialogue:
        await dialogue.start("ask", one, json.dumps([[note], [{"text": "kept"}]]))
        await dialogue.until("ask", "run_finished")
        waiting = run_of(dialogue.events("ask"))
        assert [action.tool_call_id for action in waiting.pending_actions] == ["call-1"]
        decision = messages_pb2.Decision(tool_call_id="call-1", approve=messages_pb2.Approve())
        given = messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=[decision]))
        spec = runs_pb2.RunSpec(messages=[given])
        await dialogue.send("answer", start=pb.ConverseStart(agent_id=one.agent_id, run=spec))
        await dialogue.until("answer", "run_finished")
    answered = run_of(dialogue.events("answer"))
    assert (answered.state, answered.resumes_run_id) == (runs_pb2.RUN_STATE_COMPLETED, waiting.id)
    assert said(await one.history())[-1] == ("ASSISTANT", "kept")


@requirement("converse_survives")
async def test_runs_go_on_when_their_stream_is_cut(wire: Wire) -> None:
    (one,) = await scripted(wire)
    async with conversing(wire) as dialogue:
        await dialogue.start("run", one, SLOW_WORDS)
        await dialogue.until("run", "run_started")
    attached = wire.runs.AttachRun(pb.AttachRunRequest(run_id=dialogue.run_id("run")))
    async with asyncio.timeout(20):
        events = [event async for response in attached for event in response.events]
    assert run_of(events).state == runs_pb2.RUN_STATE_COMPLETED


@requirement("converse_bounded")
async def test_a_stream_follows_so_many_runs_and_no_more(wire: Wire) -> None:
    (one,) = await scripted(wire)
    async with conversing(wire) as dialogue:
        await dialogue.start("run", one, FOR_EVER)
        await dialogue.until("run", "text_delta")
        run_id = dialogue.run_id("run")
        quiet = pb.StreamOptions(event_kinds=[events_pb2.EVENT_KIND_CUSTOM], heartbeat_interval=Duration())

        async def attach_all() -> None:
            for number in range(64):
                await dialogue.send(str(number), attach=pb.ConverseAttach(run_id=run_id, options=quiet))

        async with asyncio.TaskGroup() as group:
            # Beside the reading: who does not read is not read from.
            group.create_task(attach_all())
            refused = await dialogue.refusal("63")
        assert (refused.refusal.reason, refused.refusal.metadata["limit"]) == ("TOO_MANY_STREAMS", "64")
        await dialogue.send("end", cancel=pb.ConverseCancel(run_id=run_id))
        await dialogue.call.done_writing()
        await dialogue.rest()
    ended = [response for response in dialogue.responses for event in response.events if event.HasField("run_finished")]
    assert len(ended) == 64
