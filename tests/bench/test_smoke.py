"""The whole benchmark at sizes that measure nothing, with the real server: what it says must hold together."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from letta_grpc.bench import ALL_ROWS, QUICK, BenchOptions, run

TINY = replace(
    QUICK,
    rounds=1,
    first_token_samples=3,
    busy_samples=12,
    paced_streams=4,
    paced_tokens=5,
    crowd_streams=8,
    crowd_tokens=5,
    burst_tokens=50,
    burst_requests=2,
    burst_streams=4,
    short_requests=8,
    short_streams=4,
    # Fewer can find room in the memory that a process has already.
    waiting_streams=40,
    replay_tokens=60,
    attaches=2,
)


@pytest.mark.timeout(180)
def test_every_row_is_measured_and_every_token_of_every_stream_arrives_once_in_order(tmp_path: Path) -> None:
    report = run(BenchOptions(output=tmp_path / "bench", sizes=TINY), Console(quiet=True))

    assert report.failures == []
    assert report.exit_code == 0
    assert {line.goal.row for line in report.lines} == ALL_ROWS
    assert all(line.ours > 0 for line in report.lines if line.goal.unit and line.goal.row not in {1, 8})
    written = json.loads((tmp_path / "bench" / "results.json").read_text())
    assert len(written["lines"]) == len(report.lines)
    assert (tmp_path / "bench" / "results.svg").exists()
