"""Turns that happened elsewhere."""

import asyncio

import pytest

from letta_grpc.adapters.memory.history import MemoryHistoryStore
from letta_grpc.domain.errors import AgentNotFound
from letta_grpc.domain.events import MessageCompleted, RunFinished, RunStarted
from letta_grpc.domain.ids import AgentId, new_agent_id
from letta_grpc.domain.messages import Message, Role
from letta_grpc.domain.paging import PageRequest
from letta_grpc.domain.runs import RunState
from letta_grpc.engine.captures import Capture, Captures
from tests.support.engine import Engine, OneModel, end, kinds, of, say


@pytest.fixture
def captures(house: Engine) -> Captures:
    return Captures(agents=house.agents, runs=house.runs, models=OneModel(house.model))


async def messages_of(house: Engine, agent_id: AgentId) -> tuple[Message, ...]:
    return (await house.agents.list_messages(agent_id, None, PageRequest())).items


async def test_a_turn_is_put_in_as_it_was_said_and_no_model_is_asked(house: Engine, captures: Captures) -> None:
    capture = Capture(agent_id=house.agent.id, user_texts=("one", "two"), assistant_text="three", model="elsewhere/m")
    events = await house.events((await captures.capture(capture)).id)
    assert kinds(events) == [RunStarted, MessageCompleted, RunFinished]
    assert end(events).state is RunState.COMPLETED
    stored = await messages_of(house, house.agent.id)
    assert [(m.role, m.text, m.model) for m in stored] == [
        (Role.USER, "one", None),
        (Role.USER, "two", None),
        (Role.ASSISTANT, "three", "elsewhere/m"),
    ]
    assert of(MessageCompleted, events)[0].message == stored[-1]
    assert not house.model.asked


async def test_a_turn_is_put_in_without_a_look_at_the_conversation(
    house: Engine, captures: Captures, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A conversation may be of any length, and be filled by captures alone.
    monkeypatch.setattr(MemoryHistoryStore, "load", None)
    run = await captures.capture(Capture(agent_id=house.agent.id, user_texts=("one",), assistant_text="two"))
    assert end(await house.events(run.id)).state is RunState.COMPLETED


async def test_a_turn_without_an_answer_has_none(house: Engine, captures: Captures) -> None:
    run = await captures.capture(Capture(agent_id=house.agent.id, user_texts=("one",)))
    assert kinds(await house.events(run.id)) == [RunStarted, RunFinished]
    assert [m.text for m in await messages_of(house, house.agent.id)] == ["one"]


async def test_a_turn_waits_for_the_run_at_work_and_the_next_run_remembers_it(house: Engine, captures: Captures) -> None:
    hold = asyncio.Event()
    house.model.turns += [[hold, *say("first")], say("last")]
    running = await house.start("hello")
    await house.model.reached.wait()
    run = await captures.capture(Capture(agent_id=house.agent.id, user_texts=("meanwhile",), assistant_text="noted"))
    assert run.state is RunState.QUEUED
    hold.set()
    for run_id in (running.id, run.id):
        await house.events(run_id)
    await house.events((await house.start("and?")).id)
    assert [m.text for m in house.model.asked[-1].messages] == ["hello", "first", "meanwhile", "noted", "and?"]


async def test_of_many_first_captures_one_makes_the_agent_of_their_key(house: Engine, captures: Captures) -> None:
    captured = [Capture(key="k", user_texts=(f"{number}",), model="test/model") for number in range(5)]
    runs = await asyncio.gather(*(captures.capture(capture) for capture in captured))
    (agent_id,) = {run.agent_id for run in runs}
    for run in runs:
        await house.events(run.id)
    agent = await house.agents.get(agent_id)
    assert (agent.name, agent.tags, agent.model) == ("claude-code-k", ("claude-code",), "test/model")
    assert {m.text for m in await messages_of(house, agent_id)} == {"0", "1", "2", "3", "4"}
    assert (await captures.capture(Capture(user_texts=("x",), model="test/model"))).agent_id != agent_id


async def test_a_model_is_found_under_its_own_name_under_its_vendors_or_not_at_all(
    house: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved: list[str] = []

    class Some(OneModel):
        def resolve(self, handle: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - as its parent's
            resolved.append(handle)
            return super().resolve(handle.replace("anthropic/known", "test/known").replace("scripted/echo", "test/echo"))

    models = Some(house.model)
    monkeypatch.setattr(house.agents, "_models", models)
    captures = Captures(agents=house.agents, runs=house.runs, models=models)
    made = {}
    for key, model in {"a": "test/model", "b": "known", "c": "unknown", "d": None}.items():
        run = await captures.capture(Capture(key=key, user_texts=("x",), model=model))
        made[key] = (await house.agents.get(run.agent_id)).model
    assert made == {"a": "test/model", "b": "anthropic/known", "c": "scripted/echo", "d": "scripted/echo"}


async def test_a_turn_for_an_agent_that_is_not_there_is_refused(captures: Captures) -> None:
    with pytest.raises(AgentNotFound):
        await captures.capture(Capture(agent_id=new_agent_id(), user_texts=("x",)))
