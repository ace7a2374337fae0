"""What a start is told that may neither wait nor interrupt. A compaction may do neither, so that it is not told of them."""

from letta_grpc.domain.approvals import OpenBatch, pending_error
from letta_grpc.domain.errors import ApprovalPending, ConversationBusy
from letta_grpc.domain.ids import ConversationId, RunId
from letta_grpc.domain.runs import RunKind, RunSpec


def busy_refusal(spec: RunSpec, conversation_id: ConversationId, active: RunId) -> ConversationBusy:
    """Return the error for a conversation that has an open run."""
    message = "The conversation has an active run: wait for its end to compact it." if _compacts(spec) else None
    return ConversationBusy(message, conversation_id=conversation_id, active_run_id=active)


def pending_refusal(spec: RunSpec, batch: OpenBatch) -> ApprovalPending:
    """Return the error for a conversation in which calls wait."""
    message = "The conversation waits for answers to tool calls: answer them to compact it." if _compacts(spec) else None
    return pending_error(batch, message)


def _compacts(spec: RunSpec) -> bool:
    return spec.kind is RunKind.COMPACTION
