"""The composition root: the one place that names adapters and joins them with the engine and the transport."""

from letta_grpc.app.doctor import Finding, State, examine
from letta_grpc.app.failures import DatabaseTaken, StartupError
from letta_grpc.app.in_process import InProcessServer, serving_in_process
from letta_grpc.app.migration import migrate
from letta_grpc.app.serving import RunningServer, serving
from letta_grpc.app.standing_by import stand_by

__all__ = [
    "DatabaseTaken",
    "Finding",
    "InProcessServer",
    "RunningServer",
    "StartupError",
    "State",
    "examine",
    "migrate",
    "serving",
    "serving_in_process",
    "stand_by",
]
