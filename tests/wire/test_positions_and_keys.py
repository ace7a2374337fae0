"""Where a reader may begin, and who may read at all."""

import asyncio

import grpc
import pytest

from letta_grpc.v1 import agent_service_pb2, run_service_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.houses import Wire, run_of, said, talk
from tests.support.wires import failure_of, fields_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE


def attach(run_id: str, after: int) -> run_service_pb2.AttachRunRequest:
    return run_service_pb2.AttachRunRequest(run_id=run_id, after_sequence_number=after)


@requirement("position_wrong")
async def test_a_negative_position_is_refused_by_its_field(wire: Wire) -> None:
    run = run_of(await (await talk(wire)).ask("hi"))
    listing = run_service_pb2.ListRunEventsRequest(run_id=run.id, after_sequence_number=-1)
    for call in (wire.runs.AttachRun(attach(run.id, -1)), wire.runs.ListRunEvents(listing)):
        error = await failure_of(call)
        assert info_of(error) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", {})
        assert fields_of(error) == {"after_sequence_number": "must be 0 to 2147483647, is -1"}


@requirement("position_wrong")
async def test_a_position_beyond_the_last_is_told_the_last(wire: Wire) -> None:
    events = await (await talk(wire)).ask("hi")
    run_id, last = run_of(events).id, events[-1].sequence_number
    listing = run_service_pb2.ListRunEventsRequest(run_id=run_id, after_sequence_number=last + 1)
    for call in (wire.runs.AttachRun(attach(run_id, last + 1)), wire.runs.ListRunEvents(listing)):
        assert info_of(await failure_of(call)) == (OUT_OF_RANGE, "CURSOR_AHEAD", {"run_id": run_id, "last": str(last)})
    at_the_end = wire.runs.AttachRun(attach(run_id, last))
    assert [response async for response in at_the_end] == []


@requirement("position_wrong")
async def test_expired_events_are_told_from_which_number_there_are_some_and_nothing_else_is_gone(connect: Connect) -> None:
    async with connect(event_retention_seconds=0, lease_seconds=1) as wire:
        one = await talk(wire)
        events = await one.ask("hi")
        run_id, last = run_of(events).id, events[-1].sequence_number
        error = await _once_expired(wire, run_id)
        facts = {"run_id": run_id, "oldest": str(last + 1), "last": str(last)}
        assert info_of(error) == (OUT_OF_RANGE, "EVENTS_EXPIRED", facts)
        listing = run_service_pb2.ListRunEventsRequest(run_id=run_id)
        assert info_of(await failure_of(wire.runs.ListRunEvents(listing))) == (OUT_OF_RANGE, "EVENTS_EXPIRED", facts)
        # At the end of the run there is nothing that could be missing.
        assert [response async for response in wire.runs.AttachRun(attach(run_id, last))] == []
        kept = (await wire.runs.GetRun(run_service_pb2.GetRunRequest(run_id=run_id))).run
        assert (kept.state, kept.last_sequence_number) == (runs_pb2.RUN_STATE_COMPLETED, last)
        assert said(await one.history()) == [("USER", "hi"), ("ASSISTANT", "hi")]
        await one.goes_on()


async def _once_expired(wire: Wire, run_id: str) -> grpc.aio.AioRpcError:
    """Ask until the server has kept house, as it does three times in the time of a lease."""
    async with asyncio.timeout(10):
        while True:
            try:
                async for _ in wire.runs.AttachRun(attach(run_id, 0)):
                    pass
            except grpc.aio.AioRpcError as error:
                return error


@requirement("credentials")
async def test_without_the_key_nothing_is_told_but_that(connect: Connect) -> None:
    async with connect(api_keys="first,second") as wire:
        request = agent_service_pb2.GetAgentRequest(agent_id="not even an id")
        error = await failure_of(wire.agents.GetAgent(request))
        assert info_of(error) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_MISSING", {})
        assert error.details() == "This server wants an API key: send it as `authorization: Bearer <key>`."
        wrong = (("authorization", "Bearer third"),)
        error = await failure_of(wire.agents.GetAgent(request, metadata=wrong))
        assert info_of(error) == (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_INVALID", {})
        assert "third" not in str(error)
        right = (("authorization", "Bearer second"),)
        listed = await wire.agents.ListAgents(agent_service_pb2.ListAgentsRequest(), metadata=right)
        assert list(listed.agents) == []
