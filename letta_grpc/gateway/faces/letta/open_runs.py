"""Runs of a conversation by how far they are: at work, in a queue, waiting for answers, or ended last."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import all_of, fetch_of
from letta_grpc.gateway.faces.letta.targets import Target, conversation_id_of
from letta_grpc.gateway.queueing import AT_WORK
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2

_ENDED = (
    runs_pb2.RUN_STATE_COMPLETED,
    runs_pb2.RUN_STATE_INTERRUPTED,
    runs_pb2.RUN_STATE_FAILED,
    runs_pb2.RUN_STATE_CANCELLED,
)


async def open_runs(ask: Ask, target: Target, *, within_conversation: bool = False) -> list[str]:
    """Return the runs of an agent, or of one of its conversations, that are not over. Raises Failure."""
    conversation_id = await conversation_id_of(ask, target) if within_conversation else target.conversation_id
    at_work = await runs_at_work(ask, target.agent_id, conversation_id)
    waiting = await waiting_runs(ask, target.agent_id, conversation_id)
    return [run.id for run in (*at_work, *waiting)]


async def runs_at_work(ask: Ask, agent_id: str, conversation_id: str) -> Sequence[runs_pb2.Run]:
    """Return the runs of a conversation, or of all that an agent has if it is empty, that run or wait for their turn."""
    return await _all(ask, pb.ListRunsRequest(agent_id=agent_id, conversation_id=conversation_id, states=AT_WORK))


async def newest_ended_run(ask: Ask, agent_id: str, conversation_id: str) -> runs_pb2.Run | None:
    """Return the run of a conversation that was accepted last among those that have ended."""
    request = pb.ListRunsRequest(
        agent_id=agent_id, conversation_id=conversation_id, states=_ENDED, descending=True, page_size=1
    )
    found = (await ask.call(ask.services.runs.ListRuns, request)).runs
    return found[0] if found else None


async def waiting_runs(ask: Ask, agent_id: str, conversation_id: str) -> Sequence[runs_pb2.Run]:
    """Return the runs of a conversation, or of all that an agent has if it is empty, that wait for answers, newest first."""
    request = pb.ListRunsRequest(agent_id=agent_id, conversation_id=conversation_id, has_pending_actions=True, descending=True)
    return await _all(ask, request)


async def _all(ask: Ask, request: pb.ListRunsRequest) -> Sequence[runs_pb2.Run]:
    return await all_of(request, fetch_of(ask, ask.services.runs.ListRuns, lambda page: page.runs))
