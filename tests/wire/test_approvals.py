"""Tool calls that wait for an answer, over the wire."""

import json
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2
from letta_grpc.v1 import run_service_pb2 as pb
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, talk
from tests.support.wires import failure_of, fields_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
INTERRUPTED, COMPLETED = runs_pb2.RUN_STATE_INTERRUPTED, runs_pb2.RUN_STATE_COMPLETED
LOOKUP = runs_pb2.ClientTool(name="lookup", description="Looks it up.")


def note(call_id: str, text: str = "milk") -> dict[str, Any]:
    return {"tool_call": {"id": call_id, "name": "archival_memory_insert", "arguments": {"text": text}}}


def find(call_id: str) -> dict[str, Any]:
    return {"tool_call": {"id": call_id, "name": "archival_memory_search", "arguments": {}}}


def script(*calls: dict[str, Any]) -> str:
    return json.dumps([list(calls), [{"text": "done"}]])


async def careful(wire: Wire) -> Talk:
    """An agent that asks before it keeps a note."""
    tools = ["archival_memory_insert", "archival_memory_search"]
    return await talk(wire, "scripted/script", tools, tool_approvals={"archival_memory_insert": True})


async def answered(talk: Talk, *messages: messages_pb2.InputMessage, request_id: str = "") -> list[events_pb2.RunEvent]:
    call = talk.wire.runs.StreamRun(answer(talk, *messages, request_id=request_id))
    return [event async for response in call for event in response.events]


def answer(talk: Talk, *messages: messages_pb2.InputMessage, request_id: str = "") -> pb.StreamRunRequest:
    return pb.StreamRunRequest(agent_id=talk.agent_id, request_id=request_id, run=runs_pb2.RunSpec(messages=messages))


def yes(call_id: str, arguments: str | None = None) -> messages_pb2.InputMessage:
    decision = messages_pb2.Decision(tool_call_id=call_id, approve=messages_pb2.Approve(arguments=arguments))
    return messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=[decision]))


def no(call_id: str, reason: str = "") -> messages_pb2.InputMessage:
    decision = messages_pb2.Decision(tool_call_id=call_id, deny=messages_pb2.Deny(reason=reason))
    return messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput(decisions=[decision]))


def gives(call_id: str, text: str) -> messages_pb2.InputMessage:
    returned = messages_pb2.ToolReturn(tool_call_id=call_id, status=messages_pb2.TOOL_RETURN_STATUS_SUCCESS, text=text)
    return messages_pb2.InputMessage(tool_returns=messages_pb2.ToolReturnsInput(returns=[returned]))


def waiting(run: runs_pb2.Run) -> list[str]:
    return [action.tool_call_id for action in run.pending_actions]


def returns(events: list[events_pb2.RunEvent]) -> dict[str, str]:
    return {event.tool_return.tool_call_id: event.tool_return.text for event in events if event.HasField("tool_return")}


async def notes(talk: Talk) -> str:
    """What the agent finds in its archive."""
    return returns(await talk.ask(script(find(f"find-{uuid4()}")))).popitem()[1]


@requirement("approval_interrupts")
async def test_a_run_ends_with_every_call_that_waits_and_says_so_wherever_it_is_asked(wire: Wire) -> None:
    talk = await careful(wire)
    events = await talk.ask(script(note("a"), find("b"), note("c")))
    run = run_of(events)
    assert (run.state, run.stop_reason) == (INTERRUPTED, runs_pb2.STOP_REASON_REQUIRES_APPROVAL)
    assert waiting(run) == ["a", "c"]
    (asked,) = [event.approval_request for event in events if event.HasField("approval_request")]
    assert asked.actions == run.pending_actions
    stored = (await wire.runs.GetRun(pb.GetRunRequest(run_id=run.id))).run
    assert stored.pending_actions == run.pending_actions
    assert list(returns(events)) == ["b"]


@requirement("approval_interrupts")
async def test_a_filter_never_hides_that_somebody_is_asked(wire: Wire) -> None:
    talk = await careful(wire)
    start = talk.start(script(note("a")))
    start.options.CopyFrom(pb.StreamOptions(event_kinds=[events_pb2.EVENT_KIND_TEXT_DELTA]))
    payloads = [event.WhichOneof("payload") async for response in wire.runs.StreamRun(start) for event in response.events]
    assert payloads == ["run_started", "approval_request", "run_finished"]


@requirement("approval_partial", "approval_edit", "complaint_02_partial_answers")
async def test_answers_come_one_by_one_and_all_is_run_after_the_last(wire: Wire) -> None:
    talk = await careful(wire)
    first = run_of(await talk.ask(script(note("a"), note("b", "bread"), note("c", "wine"))))
    second = run_of(await answered(talk, no("c", "not on a Friday")))
    assert (second.state, second.resumes_run_id, waiting(second)) == (INTERRUPTED, first.id, ["a", "b"])
    third = run_of(await answered(talk, yes("b", json.dumps({"text": "rye bread"}))))
    assert waiting(third) == ["a"]
    events = await answered(talk, yes("a"))
    assert run_of(events).state == COMPLETED
    (tool,) = [
        event.message_completed.message for event in events if event.message_completed.message.role == messages_pb2.ROLE_TOOL
    ]
    assert [one.tool_call_id for one in tool.tool_returns] == ["a", "b", "c"]
    assert "not on a Friday" in tool.tool_returns[2].text
    found = await notes(talk)
    assert "milk" in found
    assert "rye bread" in found
    assert "wine" not in found


@requirement("approval_replay")
async def test_the_same_answer_again_is_the_run_it_made_and_another_one_is_refused(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a")))
    made = run_of(await answered(talk, yes("a")))
    assert run_of(await answered(talk, yes("a"))) == made
    error = await failure_of(wire.runs.StreamRun(answer(talk, no("a"))))
    assert info_of(error) == (PRECONDITION, "APPROVAL_ALREADY_RESOLVED", {"tool_call_id": "a", "run_id": made.id})
    assert (await notes(talk)).count("milk") == 1


@requirement("approval_replay")
async def test_an_answer_is_safe_to_repeat_by_its_request_id(wire: Wire) -> None:
    talk, request_id = await careful(wire), str(uuid4())
    await talk.ask(script(note("a")))
    first, second = [run_of(await answered(talk, yes("a"), request_id=request_id)) for _ in range(2)]
    assert first == second


@requirement("approval_unknown")
async def test_an_answer_to_no_waiting_call_names_it_and_those_that_wait(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a"), note("b")))
    error = await failure_of(wire.runs.StreamRun(answer(talk, yes("a"), yes("x"))))
    assert fields_of(error) == {
        "run.messages[1].approval.decisions[0].tool_call_id": "'x' waits for no answer; open are: a, b"
    }
    assert waiting(run_of(await answered(talk, yes("a")))) == ["b"]


@requirement("words_behind_answers")
async def test_words_may_come_with_the_answers(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a")))
    words = messages_pb2.InputMessage(user=messages_pb2.UserInput(text=script({"text": "Quickly done."})))
    run = run_of(await answered(talk, yes("a"), words))
    assert run.state == runs_pb2.RUN_STATE_COMPLETED
    _, _, answer, tool, said, last = await talk.history()
    assert [answer.id, said.id] == list(run.input_message_ids)
    assert (tool.role, last.content[0].text) == (messages_pb2.ROLE_TOOL, "Quickly done.")


@requirement("approval_unknown", "defect_empty_answer")
async def test_answers_that_say_nothing_are_told_by_their_paths(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a")))
    undecided = messages_pb2.ApprovalInput(decisions=[messages_pb2.Decision(tool_call_id="a"), messages_pb2.Decision()])
    wrong = [
        messages_pb2.InputMessage(user=messages_pb2.UserInput(text="and by the way")),
        messages_pb2.InputMessage(approval=undecided),
        messages_pb2.InputMessage(approval=messages_pb2.ApprovalInput()),
        yes("a", "[]"),
    ]
    error = await failure_of(wire.runs.StreamRun(answer(talk, *wrong)))
    assert fields_of(error) == {
        "run.messages": "must have answers to waiting calls before other messages",
        "run.messages[1].approval.decisions[0]": "must have approve or deny",
        "run.messages[1].approval.decisions[1]": "must have approve or deny",
        "run.messages[1].approval.decisions[1].tool_call_id": "must not be empty",
        "run.messages[2].approval.decisions": "must have at least one",
        "run.messages[3]": "answers 'a', as a message before it does",
        "run.messages[3].approval.decisions[0].approve.arguments": "must be the JSON text of an object",
    }


@requirement("approval_unknown")
async def test_two_answers_to_one_call_are_refused_whichever_comes_first(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a"), note("b")))
    error = await failure_of(wire.runs.StreamRun(answer(talk, no("a"), yes("b"), yes("a"))))
    assert fields_of(error) == {"run.messages[2]": "answers 'a', as a message before it does"}
    assert waiting(run_of(await answered(talk, no("a")))) == ["b"]


@requirement("approval_blocks", "complaint_03_stuck_approval")
async def test_another_start_is_refused_with_the_run_and_the_calls_that_wait(wire: Wire) -> None:
    talk = await careful(wire)
    run = run_of(await talk.ask(script(note("a"), note("b"))))
    error = await failure_of(wire.runs.StreamRun(talk.start("hi")))
    assert info_of(error) == (PRECONDITION, "APPROVAL_PENDING", {"run_id": run.id, "tool_call_ids": "a,b"})


@requirement("approval_blocks")
async def test_a_queued_start_comes_after_the_answer(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a")))
    queued = pb.CreateRunRequest(
        agent_id=talk.agent_id, run=talk.start(script(), conflict_policy=runs_pb2.CONFLICT_POLICY_ENQUEUE).run
    )
    later = (await wire.runs.CreateRun(queued)).run
    assert later.state == runs_pb2.RUN_STATE_QUEUED
    first = run_of(await answered(talk, yes("a")))
    events = [
        event async for response in wire.runs.AttachRun(pb.AttachRunRequest(run_id=later.id)) for event in response.events
    ]
    assert run_of(events).start_time.ToDatetime() >= first.end_time.ToDatetime()
    assert run_of(events).state == COMPLETED


@requirement("approval_blocks")
async def test_an_interrupting_start_denies_what_waits_and_the_history_is_whole(wire: Wire) -> None:
    talk = await careful(wire)
    await talk.ask(script(note("a")))
    events = await talk.ask(script(), conflict_policy=runs_pb2.CONFLICT_POLICY_INTERRUPT)
    assert run_of(events).state == COMPLETED
    assert "denied" in returns(events)["a"]
    await talk.goes_on()


@requirement("approval_expires", "complaint_04_one_way_out")
async def test_cancelling_the_run_that_waits_denies_its_calls_and_frees_the_conversation(wire: Wire) -> None:
    talk = await careful(wire)
    run = run_of(await talk.ask(script(note("a"))))
    cancelled = (await wire.runs.CancelRun(pb.CancelRunRequest(run_id=run.id))).run
    assert (cancelled.state, waiting(cancelled)) == (INTERRUPTED, [])
    error = await failure_of(wire.runs.StreamRun(answer(talk, yes("a"))))
    assert info_of(error)[:2] == (PRECONDITION, "APPROVAL_EXPIRED")
    await talk.goes_on()


@requirement("approval_expires")
async def test_the_time_for_an_answer_has_bounds(wire: Wire) -> None:
    talk = await careful(wire)
    error = await failure_of(wire.runs.StreamRun(talk.start("hi", approval_timeout=Duration(nanos=1))))
    assert list(fields_of(error)) == ["run.approval_timeout"]


@requirement("approval_listed", "complaint_03_stuck_approval")
async def test_the_runs_that_wait_are_listed_and_no_others(wire: Wire) -> None:
    talk = await careful(wire)
    first = run_of(await talk.ask(script(note("a"), note("b"))))
    waiting_runs = pb.ListRunsRequest(agent_id=talk.agent_id, has_pending_actions=True)
    assert [run.id for run in (await wire.runs.ListRuns(waiting_runs)).runs] == [first.id]
    second = run_of(await answered(talk, yes("a")))
    assert [(run.id, waiting(run)) for run in (await wire.runs.ListRuns(waiting_runs)).runs] == [(second.id, ["b"])]
    await answered(talk, no("b"))
    assert not (await wire.runs.ListRuns(waiting_runs)).runs
    interrupted = pb.ListRunsRequest(agent_id=talk.agent_id, states=[INTERRUPTED])
    assert [run.id for run in (await wire.runs.ListRuns(interrupted)).runs] == [first.id, second.id]


@requirement("client_tools", "complaint_05_client_tools")
async def test_a_clients_tool_waits_for_the_clients_return_twice_in_one_turn(wire: Wire) -> None:
    talk = await careful(wire)
    ask = {"tool_call": {"name": "lookup", "arguments": {"q": "x"}}}
    turns = json.dumps([[ask | {"tool_call": ask["tool_call"] | {"id": id_}}] for id_ in ("a", "b")] + [[{"text": "done"}]])
    first = run_of(await talk.ask(turns, client_tools=[LOOKUP]))
    assert first.stop_reason == runs_pb2.STOP_REASON_REQUIRES_CLIENT_TOOL
    assert [(action.kind, action.arguments) for action in first.pending_actions] == [
        (runs_pb2.ACTION_KIND_CLIENT_TOOL, '{"q": "x"}')
    ]
    second = run_of(await answered(talk, gives("a", "41")))
    assert (second.stop_reason, waiting(second)) == (runs_pb2.STOP_REASON_REQUIRES_CLIENT_TOOL, ["b"])
    last = await answered(talk, gives("b", "42"))
    assert run_of(last).state == COMPLETED
    assert returns(last) == {"b": "42"}


@requirement("client_tools")
async def test_a_clients_tool_shadows_the_servers_for_that_run_alone(wire: Wire) -> None:
    talk = await careful(wire)
    mine = runs_pb2.ClientTool(name="archival_memory_search", description="Mine.")
    assert waiting(run_of(await talk.ask(script(find("a")), client_tools=[mine]))) == ["a"]
    events = await answered(talk, gives("a", "from the client"))
    assert returns(events) == {"a": "from the client"}
    assert "from the client" not in await notes(talk)


@requirement("client_tools")
async def test_the_answer_must_be_of_the_kind_that_the_call_waits_for(wire: Wire) -> None:
    talk = await careful(wire)
    ask = {"tool_call": {"id": "a", "name": "lookup", "arguments": {}}}
    await talk.ask(script(ask), client_tools=[LOOKUP])
    error = await failure_of(wire.runs.StreamRun(answer(talk, yes("a"))))
    assert fields_of(error) == {
        "run.messages[0].approval.decisions[0]": "lookup is the client's to run: send its return, or deny it"
    }
