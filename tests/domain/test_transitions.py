from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from letta_grpc.domain.events import RunEvent, RunFinished
from letta_grpc.domain.transitions import TRANSITIONS, IllegalEvent, Phase, advance
from tests.requirements.registry import requirement
from tests.support.values import events, run


def test_every_event_has_a_row() -> None:
    assert {kind for _, kind in TRANSITIONS} == set(get_args(RunEvent))


def test_a_run_can_end_in_every_phase_but_those_that_owe_a_tool_message() -> None:
    assert {phase for phase, kind in TRANSITIONS if kind is RunFinished} == set(Phase) - {Phase.ENDED, Phase.SETTLING_CALLS}


@requirement("complaint_10_one_end", "weakness_second_end")
def test_nothing_comes_after_the_end() -> None:
    assert not [kind for phase, kind in TRANSITIONS if phase is Phase.ENDED]
    with pytest.raises(IllegalEvent, match="RunFinished cannot come while a run is ended"):
        advance(Phase.ENDED, RunFinished(run()))


@given(st.lists(events(), max_size=8))
def test_any_order_of_events_is_a_path_in_the_table_or_raises(order: list[RunEvent]) -> None:
    phase = Phase.QUEUED
    for event in order:
        if (phase, type(event)) not in TRANSITIONS:
            with pytest.raises(IllegalEvent):
                advance(phase, event)
            return
        phase = advance(phase, event)
