"""Requests to compact a conversation."""

from letta_grpc.domain.ids import AgentId, ConversationId
from letta_grpc.domain.runs import CompactionMode, RunKind, RunSpec
from letta_grpc.engine.starts import StartRequest
from letta_grpc.transport.convert.conversations import optional_conversation
from letta_grpc.transport.convert.enums import COMPACTION_MODES
from letta_grpc.transport.convert.requests import request_id_from_pb
from letta_grpc.transport.convert.rules import Rules
from letta_grpc.v1 import agent_service_pb2, conversation_service_pb2


def agent_compaction_from_pb(request: agent_service_pb2.CompactAgentRequest, traceparent: str | None) -> StartRequest:
    """Return the start of the run that compacts an agent's conversation."""
    with Rules() as rules:
        return StartRequest(
            agent_id=AgentId(rules.id("agent_id", "agent", request.agent_id)),
            conversation_id=optional_conversation(rules, "conversation_id", request.conversation_id),
            request_id=request_id_from_pb(rules, request.request_id),
            spec=_spec(rules, request.mode),
            traceparent=traceparent,
        )


def compaction_from_pb(
    request: conversation_service_pb2.CompactConversationRequest,
) -> tuple[ConversationId, str | None, RunSpec]:
    """Return which conversation to compact, under which request id, and how."""
    with Rules() as rules:
        conversation_id = ConversationId(rules.id("conversation_id", "conv", request.conversation_id))
        return conversation_id, request_id_from_pb(rules, request.request_id), _spec(rules, request.mode)


def _spec(rules: Rules, mode: int) -> RunSpec:
    compaction = COMPACTION_MODES.checked(rules, "mode", mode, CompactionMode.SLIDING_WINDOW)
    return RunSpec(messages=(), kind=RunKind.COMPACTION, compaction=compaction)
