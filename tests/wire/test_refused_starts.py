"""Starts that are refused: what is told, and that nothing of them is left."""

import json
from uuid import uuid4

import grpc
import pytest

from letta_grpc.v1 import agent_service_pb2, messages_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Talk, Wire, run_of, said, spec_of, talk
from tests.support.wires import Way, failure_of, fields_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

NOBODY = "agent-00000000-0000-4000-8000-00000000dead"
NOWHERE = "conv-00000000-0000-4000-8000-00000000dead"
NOT_FOUND, INVALID = grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
EMPTY = runs_pb2.RunSpec(messages=[messages_pb2.InputMessage()])
WAITING = json.dumps([[{"text": "well "}, {"wait_for_cancel": True}]])


async def check_untouched(talk: Talk) -> None:
    """Nothing was claimed, nothing was said, and the next turn goes well."""
    listed = await talk.wire.runs.ListRuns(run_service_pb2.ListRunsRequest(agent_id=talk.agent_id))
    assert list(listed.runs) == []
    assert await talk.history() == []
    await talk.goes_on()


@requirement("refusal_unknown_agent")
async def test_an_unknown_agent_is_not_found(wire: Wire) -> None:
    error = await failure_of(wire.runs.StreamRun(Talk(wire, NOBODY).start("hi")))
    assert info_of(error) == (NOT_FOUND, "AGENT_NOT_FOUND", {"agent_id": NOBODY})
    assert error.details() == "There is no such agent."


@requirement("refusal_unknown_conversation")
async def test_a_conversation_of_another_agent_is_not_found_and_neither_is_one_that_nobody_has(wire: Wire) -> None:
    mine, theirs = await talk(wire), await talk(wire)
    context = agent_service_pb2.ListMessagesRequest(agent_id=mine.agent_id, conversation_id=NOWHERE)
    assert info_of(await failure_of(wire.agents.ListMessages(context)))[1] == "CONVERSATION_NOT_FOUND"
    await theirs.ask("hi")
    runs = await wire.runs.ListRuns(run_service_pb2.ListRunsRequest(agent_id=theirs.agent_id))
    for conversation_id in (NOWHERE, runs.runs[0].conversation_id):
        start = mine.start("hi")
        start.conversation_id = conversation_id
        error = await failure_of(wire.runs.StreamRun(start))
        assert info_of(error) == (NOT_FOUND, "CONVERSATION_NOT_FOUND", {"conversation_id": conversation_id})
    await check_untouched(mine)


@pytest.mark.parametrize(
    ("run", "path", "rule"),
    [
        pytest.param(runs_pb2.RunSpec(), "run.messages", "must have at least one message", id="no message"),
        pytest.param(spec_of(""), "run.messages[0].user.text", "must not be empty", id="empty text"),
        pytest.param(
            runs_pb2.RunSpec(messages=[messages_pb2.InputMessage()]),
            "run.messages[0]",
            "must have user, system, approval or tool_returns",
            id="no kind",
        ),
        pytest.param(
            runs_pb2.RunSpec(messages=[messages_pb2.InputMessage(user=messages_pb2.UserInput())]),
            "run.messages[0].user",
            "must have text or content",
            id="no body",
        ),
        pytest.param(
            spec_of("ok", "x" * (2**20 + 1)),
            "run.messages[1].user.text",
            "must have at most 1048576 bytes, has 1048577",
            id="too long",
        ),
        pytest.param(spec_of(*["a"] * 1001), "run.messages", "must have at most 1000, has 1001", id="too many"),
        pytest.param(spec_of("ok", max_steps=-1), "run.max_steps", "must be 1 to 1000, is -1", id="negative steps"),
    ],
)
@requirement("refusal_invalid_input")
async def test_input_that_breaks_a_rule_is_refused_by_its_path(
    wire: Wire, run: runs_pb2.RunSpec, path: str, rule: str
) -> None:
    one = await talk(wire)
    calls = (
        wire.runs.StreamRun(run_service_pb2.StreamRunRequest(agent_id=one.agent_id, run=run)),
        wire.runs.CreateRun(run_service_pb2.CreateRunRequest(agent_id=one.agent_id, run=run)),
        wire.runs.ExecuteRun(run_service_pb2.ExecuteRunRequest(agent_id=one.agent_id, run=run)),
    )
    for call in calls:
        error = await failure_of(call)
        assert info_of(error) == (INVALID, "INVALID_REQUEST", {})
        assert fields_of(error) == {path: rule}
        assert error.details() == f"{path}: {rule}"
    await check_untouched(one)


@requirement("refusal_invalid_input")
async def test_the_parts_of_a_message_are_bounded_together(wire: Wire) -> None:
    """Else a message could be stored that no client can ever list."""
    one = await talk(wire)
    parts = [messages_pb2.ContentPart(text="x" * 2**20) for _ in range(3)]
    content = messages_pb2.Content(parts=parts)
    run = runs_pb2.RunSpec(messages=[messages_pb2.InputMessage(user=messages_pb2.UserInput(content=content))])
    error = await failure_of(wire.runs.StreamRun(run_service_pb2.StreamRunRequest(agent_id=one.agent_id, run=run)))
    assert info_of(error) == (INVALID, "INVALID_REQUEST", {})
    assert list(fields_of(error)) == ["run.messages[0].user.content.parts"]
    await check_untouched(one)


@requirement("refusal_oversize")
async def test_a_request_beyond_the_limit_is_told_its_size_and_the_limit(wire: Wire) -> None:
    one = await talk(wire)
    request = one.start(*["x" * 2**20] * 4)
    error = await failure_of(wire.runs.StreamRun(request))
    size, limit = request.ByteSize(), 4 * 2**20
    facts = {"size": str(size), "limit": str(limit)}
    assert info_of(error) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE", facts)
    assert error.details() == f"The request has {size} bytes; {limit} are allowed."
    await check_untouched(one)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("agent_id", "", "is required: agent-<uuid4>"),
        ("agent_id", "agent-1", "must be agent-<uuid4>, in lower case"),
        ("agent_id", NOBODY.upper(), "must be agent-<uuid4>, in lower case"),
        ("agent_id", NOWHERE, "must be agent-<uuid4>, in lower case"),
        ("conversation_id", NOBODY, "must be conv-<uuid4>, in lower case"),
        ("request_id", "mine", "must be a UUID"),
    ],
)
@requirement("refusal_malformed_id")
async def test_a_malformed_id_is_told_the_shape_of_a_good_one(wire: Wire, way: Way, field: str, value: str, rule: str) -> None:
    one = await talk(wire)
    start = one.start("hi")
    setattr(start, field, value)
    error = await failure_of(wire.runs.StreamRun(start))
    if not value and way in {"http", "remote"}:
        # An id that is missing from a path makes another path of it.
        assert info_of(error) == (grpc.StatusCode.NOT_FOUND, "INVALID_REQUEST", {})
        return
    assert info_of(error) == (INVALID, "INVALID_REQUEST", {})
    assert field in fields_of(error)
    assert fields_of(error)[field].startswith(rule)
    await check_untouched(one)


@requirement("refusal_reused_request_id")
async def test_a_request_id_used_for_another_payload_names_the_run_that_it_stands_for(wire: Wire) -> None:
    one, request_id = await talk(wire), str(uuid4())
    first = run_of(await one.ask("this", request_id=request_id))
    error = await failure_of(wire.runs.StreamRun(one.start("that", request_id=request_id)))
    facts = {"request_id": request_id, "run_id": first.id}
    assert info_of(error) == (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED", facts)
    assert error.details() == "This request id has been used for another payload."
    assert run_of(await one.ask("this", request_id=request_id)).id == first.id
    assert said(await one.history()) == [("USER", "this"), ("ASSISTANT", "this")]
    await one.goes_on()


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ("nobody/m", "model 'nobody/m' is not provider/model of a configured provider: scripted, up"),
        ("scripted/nothing", "scripted has no model 'nothing'; configured providers: scripted, up"),
        ("words", "model 'words' is not provider/model of a configured provider: scripted, up"),
    ],
)
@requirement("refusal_unknown_model")
async def test_a_model_or_provider_that_is_not_configured_is_told_those_that_are(
    wire: Wire, handle: str, message: str
) -> None:
    one = await talk(wire)
    new = agent_service_pb2.CreateAgentRequest()
    new.agent.model = handle
    calls = {"run.model": wire.runs.StreamRun(one.start("hi", model=handle)), "agent.model": wire.agents.CreateAgent(new)}
    for path, call in calls.items():
        error = await failure_of(call)
        assert fields_of(error) == {path: message}
        assert info_of(error) == (INVALID, "MODEL_UNKNOWN", {"model": handle})
        assert error.details() == message
    await check_untouched(one)


@requirement("refusal_busy", "complaint_08_busy")
async def test_a_busy_conversation_names_its_run_and_loses_nothing(wire: Wire) -> None:
    one = await talk(wire, "scripted/script")
    call = wire.runs.StreamRun(one.start(WAITING))
    async for response in call:
        if any(event.WhichOneof("payload") == "text_delta" for event in response.events):
            break
    active = (await wire.runs.ListRuns(run_service_pb2.ListRunsRequest(agent_id=one.agent_id))).runs[0]
    error = await failure_of(wire.runs.StreamRun(one.start("no")))
    facts = {"active_run_id": active.id, "conversation_id": active.conversation_id}
    assert info_of(error) == (grpc.StatusCode.ABORTED, "CONVERSATION_BUSY", facts)
    assert "start with ENQUEUE or INTERRUPT" in str(error.details())
    await wire.runs.CancelRun(run_service_pb2.CancelRunRequest(run_id=active.id))
    assert [response async for response in call]
    assert said(await one.history()) == [("USER", WAITING), ("ASSISTANT", "well ")]
    await one.goes_on()
