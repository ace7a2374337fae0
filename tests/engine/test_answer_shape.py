import json

import pytest

from letta_grpc.domain.agents import AgentKind, ModelSettings
from letta_grpc.domain.errors import InvalidRequest
from letta_grpc.domain.events import MessageCompleted, StepCompleted
from letta_grpc.domain.messages import Role, TextPart
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState, StopReason
from letta_grpc.engine.agents import NewAgent
from letta_grpc.ports.stores import RunFilter
from tests.support.engine import call, end, engine, of, say

SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})
GOOD = '{"n": 1}'


async def test_an_answer_of_the_shape_ends_the_turn() -> None:
    async with engine() as house:
        events = await house.play(say('{"n"', ": 1}"), response_format=SCHEMA)
        assert end(events).stop_reason is StopReason.END_TURN
        assert house.model.asked[0].response_format == SCHEMA
        assert len(of(StepCompleted, events)) == 1


async def test_the_model_is_told_what_is_wrong_and_may_repair_it() -> None:
    async with engine() as house:
        events = await house.play(say("no json"), say('{"n": "one"}'), say(GOOD), response_format=SCHEMA)
        assert end(events).state is RunState.COMPLETED
        assert len(of(StepCompleted, events)) == 3
        told = [request.messages[-1] for request in house.model.asked[1:]]
        assert [message.role for message in told] == [Role.USER, Role.USER]
        assert "it is not JSON" in told[0].text
        assert "at $.n: 'one' is not of type 'integer'" in told[1].text
        assert SCHEMA in told[1].text


async def test_after_two_repairs_the_run_fails_and_all_that_was_said_stays() -> None:
    async with engine() as house:
        events = await house.play(say("a"), say("b"), say("c"), response_format=SCHEMA)
        run = end(events)
        assert (run.state, run.stop_reason) == (RunState.FAILED, StopReason.INVALID_MODEL_OUTPUT)
        assert run.error is not None
        assert "it is not JSON" in run.error.message
        spoken = [done.message.text for done in of(MessageCompleted, events) if done.message.role is Role.ASSISTANT]
        assert spoken == ["a", "b", "c"]
        assert len(of(StepCompleted, events)) == 3


async def test_steps_that_call_tools_need_no_shape() -> None:
    async def play(_: object) -> str:
        return "found"

    async with engine() as house:
        house.tools.plays["f"] = play
        house.agent = await house.agents.update(house.agent.id, {"tools": ("f",)})
        events = await house.play(call("f"), say(GOOD), response_format=SCHEMA)
        assert end(events).stop_reason is StopReason.END_TURN


async def test_repairs_count_against_the_steps_that_a_run_may_take() -> None:
    async with engine() as house:
        events = await house.play(say("a"), response_format=SCHEMA, max_steps=1)
        assert end(events).stop_reason is StopReason.MAX_STEPS


async def test_an_answer_of_the_shape_has_only_its_words_looked_at() -> None:
    async with engine() as house:
        events = await house.play(say(GOOD), response_format=SCHEMA)
        (answer,) = of(MessageCompleted, events)
        assert answer.message.content == (TextPart(GOOD),)


async def test_a_schema_that_cannot_be_used_starts_nothing() -> None:
    async with engine() as house:
        with pytest.raises(InvalidRequest) as refused:
            await house.start(response_format='{"type": "text"}')
        assert list(refused.value.fields) == ["run.response_format"]
        assert not (await house.database.runs.list(PageRequest(), RunFilter())).items


async def test_an_agent_that_speaks_by_tools_alone_takes_no_shape() -> None:
    async with engine() as house:
        speaker = await house.agents.create(NewAgent(model="test/model", kind=AgentKind.MEMGPT))
        with pytest.raises(InvalidRequest) as refused:
            await house.start(agent=speaker, response_format=SCHEMA)
        assert list(refused.value.fields) == ["run.response_format"]


async def test_model_system_and_shape_of_one_run_go_together_with_the_agents_settings() -> None:
    async with engine() as house:
        settings = ModelSettings(reasoning_effort="low", temperature=0.5)
        house.agent = await house.agents.update(house.agent.id, {"model_settings": settings})
        await house.play(say(GOOD), response_format=SCHEMA, model="test/other", system="Only today.")
        (asked,) = house.model.asked
        assert (asked.model, asked.system, asked.response_format) == ("other", "Only today.", SCHEMA)
        assert asked.settings == settings
