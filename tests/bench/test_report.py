import json
from pathlib import Path

import pytest
from rich.console import Console

from letta_grpc.bench.goals import BURST_ONE, PACED_CUT, PACED_LATENCY, REPLAY_RATE, SHORT_RATE, Goal
from letta_grpc.bench.output import draw, table, write_json
from letta_grpc.bench.report import BenchReport, Line


def line(goal: Goal, ratio: float) -> Line:
    return Line(goal=goal, ours=ratio, raw=1, ratio=ratio)


@pytest.mark.parametrize(("ratio", "met", "stretched"), [(0.07, True, True), (0.15, True, False), (0.16, False, False)])
def test_a_cost_meets_its_target_at_or_below_it(ratio: float, *, met: bool, stretched: bool) -> None:
    found = line(BURST_ONE, ratio)
    assert (found.met, found.stretched) == (met, stretched)


@pytest.mark.parametrize(("ratio", "met", "stretched"), [(0.6, True, True), (0.45, True, False), (0.44, False, False)])
def test_a_rate_meets_its_target_at_or_above_it(ratio: float, *, met: bool, stretched: bool) -> None:
    found = line(SHORT_RATE, ratio)
    assert (found.met, found.stretched) == (met, stretched)


def test_a_goal_about_our_own_value_does_not_look_at_the_relay() -> None:
    assert Line(goal=REPLAY_RATE, ours=200_000, raw=1, ratio=0.1).met


def test_a_ratio_that_was_not_measured_is_not_met_by_silence() -> None:
    with pytest.raises(ValueError, match="no ratio"):
        _ = Line(goal=BURST_ONE, ours=1).met


def test_a_missed_target_fails_the_run_only_where_it_is_enforced() -> None:
    missed = [line(BURST_ONE, 0.5)]
    assert BenchReport(lines=missed).exit_code == 0
    assert BenchReport(lines=missed, enforced=True).exit_code == 1


def test_rows_that_are_not_enforced_never_fail_the_run() -> None:
    assert BenchReport(lines=[line(PACED_LATENCY, 9)], enforced=True).exit_code == 0


def test_a_lost_token_always_fails_the_run() -> None:
    assert BenchReport(lines=[line(BURST_ONE, 0.01)], failures=["token 3 was due"]).exit_code == 1


def test_the_report_is_written_for_people_and_for_programs(tmp_path: Path) -> None:
    report = BenchReport(lines=[line(BURST_ONE, 0.1), line(SHORT_RATE, 0.2), line(PACED_CUT, 0)], machine={"cpus": "2"})
    console = Console(record=True, width=160)
    console.print(table(report))
    write_json(report, tmp_path / "results.json")
    draw(report, tmp_path / "results.svg")

    assert "≤ 0.15" in console.export_text()
    document = json.loads((tmp_path / "results.json").read_text())
    assert [(found["row"], found["met"], found["stretch_met"]) for found in document["lines"]] == [
        (4, True, False),
        (7, False, False),
        (5, True, True),
    ]
    assert (tmp_path / "results.svg").read_text().startswith("<?xml")
