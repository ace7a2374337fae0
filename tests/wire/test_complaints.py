"""What users of the retired server suffered from, where no other test shows that it is otherwise here."""

import json

import pytest
from pydantic import SecretStr

from letta_grpc.v1 import agent_service_pb2, conversation_service_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, spec_of, talk
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

FOREVER = json.dumps([[{"text": "well "}, {"wait_for_cancel": True}]])
# What would end a frame, begin another one, or be taken for a mark of other servers' streams.
HOSTILE = 'a\n\nid: 9\nevent: run_finished\ndata: {"x":1}\n\ndata: [DONE]\r\n\r\n: ping\n"seq_id":null\u2028\ud7ff'


async def create(wire: Wire, agent_id: str, text: str, **place: str) -> runs_pb2.Run:
    return (await wire.runs.CreateRun(pb.CreateRunRequest(agent_id=agent_id, run=spec_of(text), **place))).run


async def end_of(wire: Wire, run: runs_pb2.Run) -> runs_pb2.Run:
    stream = wire.runs.AttachRun(pb.AttachRunRequest(run_id=run.id))
    return run_of([event async for response in stream for event in response.events])


@requirement("complaint_06_cancel_one")
async def test_a_cancel_ends_one_run_and_no_other_of_its_agent(wire: Wire) -> None:
    one = await talk(wire, "scripted/script")
    thread = (
        await wire.conversations.CreateConversation(conversation_service_pb2.CreateConversationRequest(agent_id=one.agent_id))
    ).conversation
    here = await create(wire, one.agent_id, FOREVER)
    there = await create(wire, one.agent_id, FOREVER, conversation_id=thread.id)
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=here.id))
    assert (await end_of(wire, here)).state == runs_pb2.RUN_STATE_CANCELLED
    going_on = (await wire.runs.GetRun(pb.GetRunRequest(run_id=there.id))).run
    assert going_on.state == runs_pb2.RUN_STATE_RUNNING
    await wire.runs.CancelRun(pb.CancelRunRequest(run_id=there.id))
    assert (await end_of(wire, there)).state == runs_pb2.RUN_STATE_CANCELLED


@requirement("complaint_08_busy")
async def test_who_has_seen_the_end_of_a_run_can_start_the_next_at_once(wire: Wire) -> None:
    one = await talk(wire)
    for number in range(10):
        stream = wire.runs.StreamRun(one.start(f"{number}"))
        async for response in stream:
            if response.events[-1].HasField("run_finished"):
                # The stream is still open: nothing but the event has told of the end.
                await wire.runs.ExecuteRun(pb.ExecuteRunRequest(agent_id=one.agent_id, run=spec_of("next")))
    assert [text for role, text in said(await one.history()) if role == "USER"][-2:] == ["9", "next"]


@requirement("defect_framing")
async def test_no_words_break_a_frame_or_are_taken_for_one(wire: Wire) -> None:
    one = await talk(wire, "scripted/script")
    events = await one.ask(json.dumps([[{"text": HOSTILE, "repeat": 3}]]))
    assert "".join(event.text_delta.text for event in events if event.HasField("text_delta")) == HOSTILE * 3
    assert said(await one.history())[-1] == ("ASSISTANT", HOSTILE * 3)
    assert [event.WhichOneof("payload") for event in events].count("run_finished") == 1


@requirement("defect_key_collisions")
async def test_callers_whose_keys_begin_alike_have_capture_agents_of_their_own(connect: Connect) -> None:
    keys = ("user-00000000-0001", "user-00000000-0002")
    agents = set()
    async with connect(api_keys=tuple(SecretStr(key) for key in keys)) as wire:
        for key in (*keys, keys[0]):
            request = agent_service_pb2.CaptureMessagesRequest(user_texts=["Hello."])
            metadata = (("authorization", f"Bearer {key}"),)
            agents.add((await wire.agents.CaptureMessages(request, metadata=metadata)).run.agent_id)
    assert len(agents) == len(keys)


@requirement("weakness_no_first_token_time")
async def test_every_run_says_how_long_it_took_to_its_first_token(wire: Wire) -> None:
    one: Talk = await talk(wire)
    run = run_of(await one.ask("one two three"))
    assert run.timing.time_to_first_token.ToTimedelta().total_seconds() > 0
    assert run.timing.time_to_first_token.ToTimedelta() <= run.timing.total.ToTimedelta()
