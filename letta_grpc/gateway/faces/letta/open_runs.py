"""Runs that are not over: at work, in a queue, or waiting for answers."""

from collections.abc import Sequence

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import all_of, fetch_of
from letta_grpc.gateway.faces.letta.targets import Target, conversation_id_of
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2

_AT_WORK = (runs_pb2.RUN_STATE_QUEUED, runs_pb2.RUN_STATE_RUNNING)


async def open_runs(ask: Ask, target: Target, *, within_conversation: bool = False) -> list[str]:
    """Return the runs of an agent, or of one of its conversations, that are not over. Raises Failure."""
    conversation_id = await conversation_id_of(ask, target) if within_conversation else target.conversation_id
    at_work = await _all(ask, pb.ListRunsRequest(agent_id=target.agent_id, conversation_id=conversation_id, states=_AT_WORK))
    waiting = await waiting_runs(ask, target.agent_id, conversation_id)
    return [run.id for run in (*at_work, *waiting)]


async def waiting_runs(ask: Ask, agent_id: str, conversation_id: str) -> Sequence[runs_pb2.Run]:
    """Return the runs of a conversation, or of all that an agent has if it is empty, that wait for answers, newest first."""
    request = pb.ListRunsRequest(agent_id=agent_id, conversation_id=conversation_id, has_pending_actions=True, descending=True)
    return await _all(ask, request)


async def _all(ask: Ask, request: pb.ListRunsRequest) -> Sequence[runs_pb2.Run]:
    return await all_of(request, fetch_of(ask, ask.services.runs.ListRuns, lambda page: page.runs))
