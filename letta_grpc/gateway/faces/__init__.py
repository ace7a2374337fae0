"""The faces: each one module with a `Face`, listed here."""

from collections.abc import Sequence

from letta_grpc.gateway.face import Face

FACES: Sequence[Face] = ()
