"""Lists that begin after an item which the client knows by its id, and what one run said."""

import json

import grpc
import pytest

from letta_grpc.v1 import agent_service_pb2, messages_pb2, run_service_pb2
from tests.requirements.registry import requirement
from tests.support.houses import talk
from tests.support.wires import failure_of, info_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]

CALL = [[{"tool_call": {"name": "memory_insert", "arguments": {"label": "human", "text": "x"}}}], [{"text": "Done."}]]


@requirement("after_id")
async def test_a_list_goes_on_behind_an_item_that_is_named_by_its_id(connect: Connect) -> None:
    async with connect() as wire:
        one = await talk(wire)
        for text in ("a", "b", "c"):
            await one.ask(text)
        history = await one.history()
        for descending in (False, True):
            ordered = history[::-1] if descending else history
            request = agent_service_pb2.ListMessagesRequest(
                agent_id=one.agent_id, after_id=ordered[1].id, page_size=2, descending=descending
            )
            page = await wire.agents.ListMessages(request)
            assert list(page.messages) == ordered[2:4]
            # The token, which wins over the id, leads on from there.
            request.page_token = page.next_page_token
            assert list((await wire.agents.ListMessages(request)).messages) == ordered[4:]
        everything = (await wire.runs.ListRuns(run_service_pb2.ListRunsRequest(agent_id=one.agent_id))).runs
        behind = run_service_pb2.ListRunsRequest(agent_id=one.agent_id, after_id=everything[0].id)
        assert list((await wire.runs.ListRuns(behind)).runs) == everything[1:]
        behind.after_id = "run-00000000-0000-4000-8000-000000000000"
        assert not (await wire.runs.ListRuns(behind)).runs


@requirement("run_messages")
async def test_a_run_tells_its_own_messages_input_first(connect: Connect) -> None:
    async with connect() as wire:
        one = await talk(wire, model="scripted/script")
        before = await one.ask(json.dumps([[{"text": "Hello"}]]))
        events = await one.ask(json.dumps(CALL))
        run = events[-1].run_finished.run
        request = run_service_pb2.ListRunMessagesRequest(run_id=run.id, page_size=3)
        page = await wire.runs.ListRunMessages(request)
        roles = [message.role for message in page.messages]
        assert roles == [messages_pb2.ROLE_USER, messages_pb2.ROLE_ASSISTANT, messages_pb2.ROLE_TOOL]
        # A tool message bears the name of its tool: a reader of it alone knows what returned.
        assert page.messages[2].name == "memory_insert"
        request.page_token = page.next_page_token
        rest = await wire.runs.ListRunMessages(request)
        assert not rest.next_page_token
        assert [*page.messages, *rest.messages] == (await one.history())[-4:]
        assert {message.run_id for message in page.messages} == {run.id} != {before[-1].run_finished.run.id}
        unknown = run_service_pb2.ListRunMessagesRequest(run_id="run-00000000-0000-4000-8000-000000000000")
        failure = await failure_of(wire.runs.ListRunMessages(unknown))
        assert failure.code() is grpc.StatusCode.NOT_FOUND
        assert info_of(failure)[1] == "RUN_NOT_FOUND"
