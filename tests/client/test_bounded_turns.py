"""A turn is bounded as one run is, however many runs it takes."""

import json
from datetime import timedelta

import pytest

from letta_grpc.client import AsyncClient, Client, Exhausted, TurnExhausted
from letta_grpc.client.budgets import Budget
from letta_grpc.v1 import runs_pb2

CALL = [{"tool_call": {"name": "more", "arguments": {}}}]


class Counting:
    def __init__(self) -> None:
        self.calls = 0

    def more(self) -> str:
        """Do more."""
        self.calls += 1
        return "more"


def script(calls: int) -> str:
    return json.dumps([*([CALL] * calls), [{"text": "done"}]])


async def test_a_model_that_calls_for_ever_is_stopped_after_max_steps(server: str) -> None:
    counting = Counting()
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script", include_base_tools=False)
        turn = client.turn(agent.id, script(10), tools=[counting.more], max_steps=3)
        with pytest.raises(TurnExhausted, match="max_steps, 3") as raised:
            await turn.final()
        assert (raised.value.reason, raised.value.run_id) == ("MAX_STEPS", turn.run_id)
        assert counting.calls == 2
        assert [run.usage.step_count async for run in client.runs.list(agent_id=agent.id)] == [1, 1, 1]
        await client.runs.cancel(turn.run_id)
        assert await client.stream(agent.id, '[[{"text": "again"}]]').text() == "again"


async def test_a_turn_may_take_all_its_steps(server: str) -> None:
    counting = Counting()
    async with AsyncClient(server) as client:
        agent = await client.agents.create(model="scripted/script", include_base_tools=False)
        assert await client.turn(agent.id, script(2), tools=[counting.more], max_steps=3).text() == "done"
        assert counting.calls == 2


def test_without_max_steps_the_servers_default_bounds_the_turn(server: str) -> None:
    counting = Counting()
    with Client(server) as client:
        agent = client.agents.create(model="scripted/script", include_base_tools=False)
        with pytest.raises(TurnExhausted, match="max_steps, 50"):
            client.turn(agent.id, script(60), tools=[counting.more]).final()
    assert counting.calls == 49


def waiting(number: int, *, steps: int = 1) -> runs_pb2.Run:
    """A run that took two seconds."""
    run = runs_pb2.Run(id=f"run-{number}", usage=runs_pb2.Usage(step_count=steps))
    run.start_time.FromSeconds(100)
    run.end_time.FromSeconds(102)
    return run


def test_an_answer_gets_the_steps_and_the_time_that_are_left() -> None:
    now = [50.0]
    budget = Budget({"max_steps": 10, "run_timeout": timedelta(seconds=10)}, lambda: now[0])
    budget.spend(waiting(1, steps=3))
    now[0] += 3
    assert budget.left(waiting(1)) == {"max_steps": 7, "run_timeout": 5.0}
    now[0] += 4.5
    budget.spend(waiting(2, steps=2))
    budget.spend(waiting(2, steps=2))
    assert budget.left(waiting(2)) == {"max_steps": 5, "run_timeout": 1.0}
    now[0] += 1
    with pytest.raises(TurnExhausted, match="run_timeout, 10 seconds"):
        budget.left(waiting(2))


def test_without_a_run_timeout_each_run_has_its_own() -> None:
    budget = Budget({})
    budget.spend(waiting(1))
    assert budget.left(waiting(1)) == {"max_steps": 49}


def test_who_waits_for_a_busy_server_is_told_of_the_calls_that_a_turn_leaves() -> None:
    run = waiting(1)
    run.pending_actions.add(tool_call_id="call-1")
    run.pending_actions.add(tool_call_id="call-2")
    with pytest.raises(Exhausted) as raised:
        Budget({"max_steps": 1}).spend(run)
    assert isinstance(raised.value, TurnExhausted)
    assert (raised.value.run_id, raised.value.tool_call_ids) == ("run-1", ["call-1", "call-2"])
    assert not raised.value.retryable
