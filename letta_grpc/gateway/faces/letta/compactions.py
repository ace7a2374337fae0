"""Putting older messages into a summary: a run, whose end is waited for."""

from typing import Any

from letta_grpc.gateway.faces.letta.contexts import messages_in_context
from letta_grpc.gateway.faces.letta.errors import LettaFailure
from letta_grpc.gateway.faces.letta.following import attached
from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import count_of, fetch_of
from letta_grpc.gateway.faces.letta.shapes.runs import error_kind
from letta_grpc.gateway.faces.letta.targets import Target
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import events_pb2, run_service_pb2, runs_pb2


async def compacted(ask: Ask, target: Target) -> dict[str, Any]:
    """Compact a conversation, and say what came of it. Raises Failure."""
    settings = ask.body.get("compaction_settings") or {}
    whole = "all" in str(settings.get("mode", "")) if isinstance(settings, dict) else False
    mode = runs_pb2.COMPACTION_MODE_ALL if whole else runs_pb2.COMPACTION_MODE_SLIDING_WINDOW
    before = await _count(ask, target)
    request = pb.CompactAgentRequest(agent_id=target.agent_id, conversation_id=target.conversation_id, mode=mode)
    run = (await ask.call(ask.services.agents.CompactAgent, request)).run
    summary = await _summary(ask, run.id)
    after = await _count(ask, target)
    return {"summary": summary, "num_messages_before": before, "num_messages_after": after}


async def _count(ask: Ask, target: Target) -> int:
    """Return how many messages are in the context; where it is too large to be told, how many there are at all."""
    messages = await messages_in_context(ask, target)
    if messages is not None:
        return len(messages)
    # Compacting is the way out of a context that grew too large: it must not fail for what it tells of itself.
    request = pb.ListMessagesRequest(agent_id=target.agent_id, conversation_id=target.conversation_id)
    return await count_of(request, fetch_of(ask, ask.services.agents.ListMessages, lambda page: page.messages))


async def _summary(ask: Ask, run_id: str) -> str:
    following = await attached(ask, run_id, run_service_pb2.StreamOptions(omit_deltas=True))
    summary = ""
    try:
        while (events := await following.read()) is not None:
            for event in events:
                summary = _told(event) or summary
    finally:
        following.close()
    return summary


def _told(event: events_pb2.RunEvent) -> str:
    if event.WhichOneof("payload") == "run_finished" and event.run_finished.run.HasField("error"):
        error = event.run_finished.run.error
        kind, status = error_kind(error)
        raise LettaFailure(status, {"error": {"type": kind, "message": error.message, "detail": error.reason}})
    return "".join(part.text for part in event.context_compacted.summary.content)
