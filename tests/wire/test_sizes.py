"""No answer is larger than what clients take by default, which is 4 MiB; these clients take exactly that."""

import grpc
import pytest

from letta_grpc.v1 import agent_service_pb2, events_pb2, messages_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of, said, spec_of, talk
from tests.support.wires import failure_of, info_of

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

WHAT_CLIENTS_TAKE = 4 * 2**20
LARGE = "x" * 300_000


@requirement("sizes")
async def test_a_history_of_large_messages_comes_in_shorter_pages(wire: Wire) -> None:
    one = await talk(wire)
    for _ in range(6):
        await one.ask(*[LARGE] * 2, model="up/nothing")
    pages: list[list[messages_pb2.Message]] = []
    token = ""
    while not pages or token:
        request = agent_service_pb2.ListMessagesRequest(agent_id=one.agent_id, page_size=1000, page_token=token)
        page = await wire.agents.ListMessages(request)
        assert page.ByteSize() < WHAT_CLIENTS_TAKE
        pages.append(list(page.messages))
        token = page.next_page_token
    assert [message.content[0].text for page in pages for message in page] == [LARGE] * 12
    assert len(pages) > 1
    assert all(pages)


@requirement("sizes")
async def test_the_log_of_large_answers_comes_in_shorter_pages_and_responses(wire: Wire) -> None:
    one = await talk(wire, "up/huge")
    run = run_of(await one.ask("go"))
    call = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run.id))
    responses = [response async for response in call]
    assert max(response.ByteSize() for response in responses) < WHAT_CLIENTS_TAKE
    followed = [event for response in responses for event in response.events]
    listed: list[events_pb2.RunEvent] = []
    token = ""
    while not listed or token:
        request = run_service_pb2.ListRunEventsRequest(run_id=run.id, page_size=1000, page_token=token)
        page = await wire.runs.ListRunEvents(request)
        assert page.ByteSize() < WHAT_CLIENTS_TAKE
        listed += page.events
        token = page.next_page_token
    assert listed == followed


@requirement("sizes", "model_failure_keeps")
async def test_an_answer_that_is_too_large_for_any_client_is_cut_before_it_is_stored(wire: Wire) -> None:
    one = await talk(wire, "up/huge-5000000")
    events = await one.ask("go")
    error = run_of(events).error
    assert (error.reason, error.message) == ("INVALID_MODEL_OUTPUT", "The model's answer is longer than 400000 characters.")
    assert [len(text) for _, text in said(await one.history())] == [2, 400_000]
    call = wire.runs.AttachRun(run_service_pb2.AttachRunRequest(run_id=run_of(events).id))
    assert [event async for response in call for event in response.events] == events
    await one.goes_on()


@requirement("sizes")
async def test_runs_with_much_metadata_come_in_shorter_pages(wire: Wire) -> None:
    one = await talk(wire)
    metadata = {str(number): "m" * 1000 for number in range(64)}
    for _ in range(70):
        await wire.runs.ExecuteRun(
            run_service_pb2.ExecuteRunRequest(agent_id=one.agent_id, run=spec_of("go", metadata=metadata))
        )
    runs: list[runs_pb2.Run] = []
    token, pages = "", 0
    while not runs or token:
        request = run_service_pb2.ListRunsRequest(agent_id=one.agent_id, page_size=1000, page_token=token)
        page = await wire.runs.ListRuns(request)
        assert page.ByteSize() < WHAT_CLIENTS_TAKE
        runs += page.runs
        token, pages = page.next_page_token, pages + 1
    assert len({run.id for run in runs}) == len(runs) == 70
    assert pages > 1


@requirement("sizes")
async def test_what_cannot_come_in_pages_is_refused_in_words_when_it_is_too_large(wire: Wire) -> None:
    one = await talk(wire)
    shown = agent_service_pb2.GetContextRequest(agent_id=one.agent_id)
    await one.ask(*[LARGE] * 10, model="up/nothing")
    assert len((await wire.agents.GetContext(shown)).context.messages) == 10
    await one.ask(*[LARGE] * 10, model="up/nothing")
    error = await failure_of(wire.agents.GetContext(shown))
    code, reason, facts = info_of(error)
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")
    assert int(facts["size"]) > int(facts["limit"])
    await one.goes_on()
