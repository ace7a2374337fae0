"""`letta-grpc bench`."""

from pathlib import Path
from typing import Annotated

import typer


def bench(
    *,
    output: Annotated[Path, typer.Option(help="Folder for results.json and the chart.")] = Path("build/bench"),
    row: Annotated[list[int] | None, typer.Option(help="Measure this row alone; repeat it for several.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer samples: about 90 seconds in place of six minutes.")] = False,
    enforce: Annotated[bool, typer.Option("--enforce", help="Exit with 1 if a target that counts is missed.")] = False,
) -> None:
    """Measure the server beside a relay that keeps nothing.

    Needs the extra [bench]. Exits with 1 if a stream was cut or lost a token.
    """
    from letta_grpc.bench import ALL_ROWS, BenchOptions, run  # noqa: PLC0415 - needs packages that no other command needs

    rows = frozenset(row or ALL_ROWS)
    if unknown := rows - ALL_ROWS:
        raise typer.BadParameter(f"there is no row {min(unknown)}; there are {', '.join(map(str, sorted(ALL_ROWS)))}")
    report = run(BenchOptions(output=output, rows=rows, quick=quick, enforce=enforce))
    raise typer.Exit(report.exit_code)
