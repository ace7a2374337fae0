"""The composition root: the one place that names adapters and joins them with the engine and the transport."""

from letta_grpc.app.doctor import Finding, State, examine
from letta_grpc.app.failures import StartupError
from letta_grpc.app.in_process import InProcessServer, serving_in_process
from letta_grpc.app.migration import migrate
from letta_grpc.app.serving import RunningServer, serving
from letta_grpc.app.standing_by import serve_until

__all__ = [
    "Finding",
    "InProcessServer",
    "RunningServer",
    "StartupError",
    "State",
    "examine",
    "migrate",
    "serve_until",
    "serving",
    "serving_in_process",
]
