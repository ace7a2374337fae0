"""The report as a table, as JSON and as a chart."""

import json
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from letta_grpc.bench.goals import Against
from letta_grpc.bench.report import BenchReport, Line

_TIMES = "×"  # noqa: RUF001 - the sign that is meant


def table(report: BenchReport) -> Table:
    """Return the lines for people."""
    shown = Table(title="letta-grpc beside relays that keep nothing: sse-raw in row 10, else grpc-raw")
    for heading in ("row", "measure", "ours", "raw", "ratio", "target", "stretch", "met?", "note"):
        shown.add_column(heading, justify="left" if heading in {"measure", "note"} else "right", no_wrap=heading != "note")
    for line in report.lines:
        raw = "" if line.raw is None else _number(line.raw)
        ratio = "" if line.ratio is None else f"{line.ratio:.2f}{_TIMES}"
        measure = f"{line.goal.measure}, {line.goal.unit}" if line.goal.unit else line.goal.measure
        limits = _limit(line, line.goal.target), _limit(line, line.goal.stretch)
        shown.add_row(str(line.goal.row), measure, _number(line.ours), raw, ratio, *limits, _verdict(line), line.note)
    return shown


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or value == 0 else f"{value:.3g}"  # noqa: PLR2004 - three digits tell enough


def _limit(line: Line, limit: float | None) -> str:
    if limit is None:
        return ""
    sign = "≥" if line.goal.at_least else "≤"
    return f"{sign} {limit:g}{_TIMES}" if line.goal.against is Against.RATIO else f"{sign} {_number(limit)}"


def _verdict(line: Line) -> str:
    if not line.met:
        return "[red]no[/red]"
    return "[green]stretch[/green]" if line.goal.stretch is not None and line.stretched else "[green]yes[/green]"


def write_json(report: BenchReport, path: Path) -> None:
    """Write the report for programs."""
    lines = [
        {
            **{name: value for name, value in asdict(line.goal).items() if name != "against"},
            "against": line.goal.against.name.lower(),
            "ours": line.ours,
            "raw": line.raw,
            "ratio": line.ratio,
            "met": line.met,
            "stretch_met": line.stretched,
            "note": line.note,
        }
        for line in report.lines
    ]
    document = {"machine": report.machine, "failures": list(report.failures), "lines": lines}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(report: BenchReport, path: Path) -> None:
    """Draw how far each measure is from its target: at 1 it is just met, to the left of it there is room."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - a second of imports that a failed run does not need

    lines = [line for line in report.lines if line.goal.target]
    shares = [_share(line, line.goal.target) for line in lines]
    figure = Figure(figsize=(9, 1.2 + 0.42 * len(lines)), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(lines)), shares, color=["#3a7d44" if line.met else "#b23a48" for line in lines])
    for place, line in enumerate(lines):
        if line.goal.stretch:
            # Of the goals alone: a tiny run can measure nothing at all.
            at = line.goal.stretch / line.goal.target
            at = 1 / at if line.goal.at_least else at
            axes.plot([at, at], [place - 0.4, place + 0.4], color="#222222", linewidth=2)
    axes.axvline(1, color="#222222", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(lines)), [f"{line.goal.row}  {line.goal.measure}" for line in lines])
    axes.invert_yaxis()
    axes.set_xlabel("share of the target used (dashed: the target; short line: the stretch goal)")
    figure.savefig(path)


def _share(line: Line, limit: float) -> float:
    return limit / line.figure if line.goal.at_least else line.figure / limit
