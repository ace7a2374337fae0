"""The letta face: what the official Letta SDKs speak, over the same RPCs.

operations.py  what a route is; forms.py  uploads; services.py  the stubs; errors.py  failures; ids.py  ids and otids
agents.py  core_memory.py  agent_tools.py  sleeptime.py            agents and what is theirs
blocks.py  tools.py  archival.py  models.py                        other resources
fields.py  agent_requests.py  tool_rules.py  handles.py  toolboxes.py   request body → resources
agent_files.py  files/                                             agents as files, the reference server's too
gone.py                                                            routes of the reference server that are not here
messages.py  conversations.py  runs.py  steps.py  compactions.py   what is sent, listed, followed and cancelled
open_runs.py                                                       what is at work, and what waits for answers
contexts.py                                                        what the model would be shown
pages.py  pages_in_memory.py  recency.py                           lists as the SDKs page through them, and their orders
inputs.py  approvals.py  skills.py  targets.py  starts.py  sending.py   request → start of a run; repeated ones find it
following.py  modes.py  steps_mode.py  tokens_mode.py  streams.py   events of a run → items of a stream, in either mode → SSE
stored_json.py                                                     JSON that is kept as text
shapes/                                                            resources → JSON
"""

from collections.abc import Sequence

from starlette.routing import BaseRoute

from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.letta import (
    agent_files,
    agent_tools,
    agents,
    archival,
    blocks,
    conversations,
    core_memory,
    messages,
    models,
    runs,
    steps,
    tools,
)
from letta_grpc.gateway.faces.letta.gone import gone_routes
from letta_grpc.gateway.faces.letta.operations import Operation, routes_of

OPERATIONS: Sequence[Operation] = (
    # Fixed paths before those with variables in the same place: the first that fits answers.
    *messages.OPERATIONS,
    *conversations.OPERATIONS,
    *runs.OPERATIONS,
    *steps.OPERATIONS,
    *agent_files.OPERATIONS,
    *agents.OPERATIONS,
    *core_memory.OPERATIONS,
    *blocks.OPERATIONS,
    *agent_tools.OPERATIONS,
    *tools.OPERATIONS,
    *archival.OPERATIONS,
    *models.OPERATIONS,
)


def letta_face(context: FaceContext) -> Sequence[BaseRoute]:
    """Return the routes under `/v1`."""
    return [*gone_routes(), *routes_of(context, OPERATIONS)]
