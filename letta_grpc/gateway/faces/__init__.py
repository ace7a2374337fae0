"""The faces, each a module with a `Face`. A face serves a wire format of others over the same RPCs."""

from collections.abc import Sequence

from letta_grpc.gateway.face import Face
from letta_grpc.gateway.faces.anthropic import anthropic
from letta_grpc.gateway.faces.letta import letta_face
from letta_grpc.gateway.faces.letta.gone import letta_gone
from letta_grpc.gateway.faces.openai import openai
from letta_grpc.gateway.faces.page import page_face
from letta_grpc.gateway.faces.simple import simple

# The last one answers whatever the others leave under `/v1`.
FACES: Sequence[Face] = (letta_face, anthropic, openai, simple, page_face, letta_gone)
