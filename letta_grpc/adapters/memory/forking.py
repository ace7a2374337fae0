"""Copied conversations, in memory."""

from letta_grpc.adapters.memory.changes import add_frames
from letta_grpc.adapters.memory.state import Compaction, MemoryState, StoredRun
from letta_grpc.domain.forking import Fork
from letta_grpc.domain.runs import RunSpec
from letta_grpc.ports.codec import EventCodec


def store_fork(state: MemoryState, codec: EventCodec, fork: Fork, time_ns: int) -> None:
    """Store a conversation with its messages and context, and the run that they belong to."""
    copy, run = fork.copy, fork.ended.run
    state.agent(run.agent_id)
    spec = RunSpec(messages=(), kind=run.kind)
    stored = StoredRun(run=run, spec=spec, fingerprint="", traceparent=None)
    add_frames(codec, stored, fork.ended.events, time_ns)
    state.add_conversation(copy.conversation)
    state.runs.add(run.id, stored)
    state.run_of_request[run.request_id] = run.id
    messages = state.messages[run.conversation_id]
    for message in copy.messages:
        messages.add(message.id, message)
        if message.id == copy.summary_id:
            state.compactions[run.conversation_id] = Compaction(message, copy.kept_from)
