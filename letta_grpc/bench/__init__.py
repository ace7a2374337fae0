"""The benchmark: the real server beside a relay that keeps nothing, side by side in one run.

`run` starts an upstream that answers deterministically, the server with its database, and the relay, each a process on
a core of its own as far as there are any; measures; and checks every token of every stream. Figures of ours count only
beside the relay's of the same run: the same machine gives half or double tomorrow.
"""

from letta_grpc.bench.options import ALL_ROWS, FULL, QUICK, BenchOptions, Sizes
from letta_grpc.bench.report import BenchReport, Line
from letta_grpc.bench.suite import run

__all__ = ["ALL_ROWS", "FULL", "QUICK", "BenchOptions", "BenchReport", "Line", "Sizes", "run"]
