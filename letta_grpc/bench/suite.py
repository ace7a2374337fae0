"""The whole run: start everything, measure row by row, end everything, say what was found."""

import os
import platform
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from letta_grpc.bench.accounting import resident_bytes
from letta_grpc.bench.conversations import NewAgents, create_agents
from letta_grpc.bench.errors import BenchError
from letta_grpc.bench.options import FULL, QUICK, BenchOptions, Sizes
from letta_grpc.bench.output import draw, table, write_json
from letta_grpc.bench.processes import Cores, LoadProcess, Running, allow_many_sockets, running
from letta_grpc.bench.report import BenchReport, Line
from letta_grpc.bench.rounds import Bench, warm_up
from letta_grpc.bench.rows import ROWS
from letta_grpc.bench.subjects import Server

_AGENTS = 20
# Where nobody looks from a terminal, a table that is cut off at 80 columns says nothing.
_PAPER_WIDTH = 160
_FOREIGN = ("LETTA_GRPC_", "OTEL_", "OPENAI_", "ANTHROPIC_")


def run(options: BenchOptions, console: Console | None = None) -> BenchReport:
    """Measure the rows that are asked for; print a table, write JSON and a chart, return all of it.

    Takes the machine to itself for up to six minutes, 90 seconds when `quick`. Raises ProcessFailedError if a process does not
    start.
    """
    console = console or Console(width=None if sys.stdout.isatty() else _PAPER_WIDTH)
    sizes = options.sizes or (QUICK if options.quick else FULL)
    lines: list[Line] = []
    with TemporaryDirectory(prefix="letta-grpc-bench-") as folder, _bench(Path(folder), sizes) as bench:
        for measure, rows in ROWS.items():
            if rows & options.rows:
                console.print(f"measuring {measure.__name__.replace('_', ' ')} …", style="dim")
                try:
                    lines += measure(bench)
                except BenchError as error:
                    bench.failures.append(f"{measure.__name__}: {error}")
    shown = [line for line in sorted(lines, key=lambda line: line.goal.row) if line.goal.row in options.rows]
    report = BenchReport(lines=shown, failures=bench.failures, machine=_machine(), enforced=options.enforce)
    options.output.mkdir(parents=True, exist_ok=True)
    write_json(report, options.output / "results.json")
    draw(report, options.output / "results.svg")
    console.print(table(report))
    for failure in report.failures:
        console.print(failure, style="red")
    return report


@contextmanager
def _bench(folder: Path, sizes: Sizes) -> Iterator[Bench]:
    allow_many_sockets()
    cores = Cores.of_this_machine()
    upstream_command = [sys.executable, "-m", "letta_grpc.bench.upstream"]
    with (
        LoadProcess(cores.load) as load,
        running(upstream_command, cores=cores.load, log=folder / "upstream.log") as upstream,
    ):
        starters = Starters(folder, cores.servers, upstream.address, load)
        with starters.ours_running() as ours_running, starters.raw() as raw:
            idle_bytes = resident_bytes(ours_running.pid)
            ours = starters.with_agents(ours_running)
            for server in (ours, raw):
                warm_up(load, server)
            yield Bench(
                load=load,
                upstream=upstream,
                ours=ours,
                ours_running=ours_running,
                ours_idle_bytes=idle_bytes,
                raw=raw,
                fresh_ours=starters.ours,
                fresh_raw=starters.raw,
                fresh_web=starters.web,
                fresh_sse=starters.sse,
                sizes=sizes,
            )


class Starters:
    """Starts servers in front of one upstream."""

    def __init__(self, folder: Path, cores: frozenset[int], upstream: str, load: LoadProcess) -> None:
        self._folder = folder
        self._cores = cores
        self._upstream = upstream
        self._load = load
        self._started = 0

    @contextmanager
    def ours_running(self, *flags: str) -> Iterator[Running]:
        """Run the real server on a new database."""
        self._started += 1
        database = f"sqlite:///{self._folder / f'{self._started}.db'}"
        command = [sys.executable, "-m", "letta_grpc", "serve", "--listen", "127.0.0.1:0", "--database", database, *flags]
        log = self._folder / "server.log"
        with running(command, cores=self._cores, log=log, env=_environment(self._upstream)) as process:
            yield process

    @contextmanager
    def ours(self) -> Iterator[Server]:
        """Run the real server, with agents."""
        with self.ours_running() as process:
            yield self.with_agents(process)

    @contextmanager
    def web(self) -> Iterator[Server]:
        """Run the real server with its gateway, to be asked there."""
        with self.ours_running("--http", "127.0.0.1:0") as process:
            yield replace(self.with_agents(process), web=process.web)

    def with_agents(self, process: Running) -> Server:
        """Give a running server its agents."""
        agents = self._load.run(create_agents, NewAgents(address=process.address, count=_AGENTS))
        return Server(address=process.address, pid=process.pid, agents=agents)

    @contextmanager
    def raw(self) -> Iterator[Server]:
        """Run the relay."""
        command = [sys.executable, "-m", "letta_grpc.bench.relay", self._upstream]
        with running(command, cores=self._cores, log=self._folder / "relay.log") as process:
            yield Server(address=process.address, pid=process.pid)

    @contextmanager
    def sse(self) -> Iterator[Server]:
        """Run the relay that is a web server."""
        command = [sys.executable, "-m", "letta_grpc.bench.sse_relay", self._upstream]
        with running(command, cores=self._cores, log=self._folder / "sse_relay.log") as process:
            yield Server(address=process.address, pid=process.pid, web=process.address)


def _environment(upstream: str) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    provider = {"BASE_URL": f"http://{upstream}/v1", "API_KEY": "bench"}
    return kept | {f"LETTA_GRPC_PROVIDERS__BENCH__{name}": value for name, value in provider.items()}


def _machine() -> dict[str, str]:
    return {
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "load_average": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
