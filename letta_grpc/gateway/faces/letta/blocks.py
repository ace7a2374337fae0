"""Core memory and shared blocks."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.operations import Operation

OPERATIONS: Sequence[Operation] = ()
