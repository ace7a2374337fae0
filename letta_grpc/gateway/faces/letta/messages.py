"""Messages of an agent: sending, listing, searching, cancelling, emptying, compacting."""

from collections.abc import Sequence

from starlette.responses import Response

from letta_grpc.gateway.faces.letta.agents import agent_of, shown
from letta_grpc.gateway.faces.letta.compactions import compacted
from letta_grpc.gateway.faces.letta.errors import conflict, unprocessable
from letta_grpc.gateway.faces.letta.fields import few, moment, strings, text, whole_number
from letta_grpc.gateway.faces.letta.ids import checked_id
from letta_grpc.gateway.faces.letta.open_runs import open_runs
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation, together
from letta_grpc.gateway.faces.letta.pages import fetch_of, listed
from letta_grpc.gateway.faces.letta.sending import accepted, answered
from letta_grpc.gateway.faces.letta.shapes.messages import Item, items_of
from letta_grpc.gateway.faces.letta.targets import Target, agent_in
from letta_grpc.v1 import agent_service_pb2 as pb
from letta_grpc.v1 import conversation_service_pb2, messages_pb2, run_service_pb2, runs_pb2

LIMIT = 100
# In place of one conversation, or of one agent.
_ALL = "-"
_ROLES = {
    "user": messages_pb2.ROLE_USER,
    "system": messages_pb2.ROLE_SYSTEM,
    "assistant": messages_pb2.ROLE_ASSISTANT,
    "tool": messages_pb2.ROLE_TOOL,
    "approval": messages_pb2.ROLE_APPROVAL,
    "summary": messages_pb2.ROLE_SUMMARY,
}
_MAX_FOUND = 50
# A run that came to such an end cannot be cancelled; one that was interrupted waits for answers, which are then denied.
_UNCANCELLED = (runs_pb2.RUN_STATE_COMPLETED, runs_pb2.RUN_STATE_FAILED)


async def send(ask: Ask) -> Json | Response:
    """Send messages; the body says whether the answer is a stream."""
    return await answered(ask, _target(ask), streaming=ask.body.get("streaming") is True)


async def stream(ask: Ask) -> Response:
    """Send messages; the answer is a stream."""
    return await answered(ask, _target(ask), streaming=True)


async def send_later(ask: Ask) -> Json:
    """Send messages; the answer is the run."""
    return await accepted(ask, _target(ask))


def _target(ask: Ask) -> Target:
    return agent_in(ask)


async def list_messages(ask: Ask) -> Json:
    """List the messages of the conversation that the query names, or of all of the agent's."""
    conversation_id = ask.query("conversation_id") or _ALL
    return await messages_of(ask, Target(agent_id=agent_in(ask).agent_id, conversation_id=conversation_id))


async def list_all(ask: Ask) -> Json:
    """List the messages of a conversation or of an agent, whichever the query names."""
    if conversation_id := ask.query("conversation_id"):
        request = conversation_service_pb2.GetConversationRequest(conversation_id=checked_id("conv", conversation_id, "query"))
        found = (await ask.call(ask.services.conversations.GetConversation, request)).conversation
        return await messages_of(ask, Target(agent_id=found.agent_id, conversation_id=found.id))
    if agent_id := ask.query("agent_id"):
        return await messages_of(ask, Target(agent_id=checked_id("agent", agent_id, "query"), conversation_id=_ALL))
    raise unprocessable("conversation_id", "is needed, or agent_id: messages are listed agent by agent", "query")


async def messages_of(ask: Ask, target: Target) -> Json:
    """List a conversation's messages, or an agent's, as the query asks. Raises Failure."""
    types = frozenset(ask.queries("include_return_message_types"))

    def items(message: messages_pb2.Message) -> list[Item]:
        return [item for item in items_of(message) if not types or item["message_type"] in types]

    request = pb.ListMessagesRequest(agent_id=target.agent_id, conversation_id=target.conversation_id)
    fetch = fetch_of(ask, ask.services.agents.ListMessages, lambda page: page.messages)
    return await listed(ask, request, fetch, items, limit=LIMIT)


async def cancel(ask: Ask) -> Json:
    """End the runs that the body names, or all that are at work or wait for answers."""
    run_ids = few("run_ids", strings(ask.body, "run_ids")) or await open_runs(ask, agent_in(ask))
    return await cancelled(ask, [checked_id("run", run_id, "body", "run_ids") for run_id in run_ids])


async def cancelled(ask: Ask, run_ids: Sequence[str]) -> Json:
    """End runs; say of each whether that was possible still. Raises Failure, also if there are none."""
    if not run_ids:
        raise conflict("NO_ACTIVE_RUNS_TO_CANCEL", "Nothing is at work here, and nothing waits for answers.")
    requests = [run_service_pb2.CancelRunRequest(run_id=run_id) for run_id in run_ids]
    responses = await together(*(ask.call(ask.services.runs.CancelRun, request) for request in requests))
    runs = [response.run for response in responses]
    return {run.id: "failed" if run.state in _UNCANCELLED else "cancelled" for run in runs}


async def reset(ask: Ask) -> Json:
    """Empty the default conversation."""
    agent_id = agent_in(ask).agent_id
    await ask.call(ask.services.agents.ResetMessages, pb.ResetMessagesRequest(agent_id=agent_id))
    return {**await shown(ask, await agent_of(ask)), "message_ids": []}


async def summarize(ask: Ask) -> Json:
    """Compact the default conversation."""
    return await compacted(ask, agent_in(ask))


async def search(ask: Ask) -> Json:
    """Find what was said."""
    body = ask.body
    agent_id = text(body, "agent_id")
    request = pb.SearchMessagesRequest(
        agent_id=checked_id("agent", agent_id, "body") if agent_id else _ALL,
        conversation_id=text(body, "conversation_id") or "",
        query=text(body, "query") or "",
        roles=[_ROLES[role] for role in strings(body, "roles") if role in _ROLES],
        limit=whole_number(body, "limit", _MAX_FOUND, _MAX_FOUND),
    )
    for field, name in (("create_time_from", "start_date"), ("create_time_before", "end_date")):
        if body.get(name):
            getattr(request, field).FromDatetime(moment(name, str(body[name])))
    found = (await ask.call(ask.services.agents.SearchMessages, request)).results
    return [_found(item, each) for each in found for item in items_of(each.message)]


def _found(item: Item, found: pb.FoundMessage) -> Item:
    where = {"agent_id": found.agent_id, "conversation_id": found.conversation_id}
    return {**item, "message_id": item["id"], "created_at": item["date"], **where}


OPERATIONS: Sequence[Operation] = (
    Operation("GET", "/v1/messages/", list_all, differs="needs conversation_id or agent_id"),
    Operation(
        "POST",
        "/v1/messages/search",
        search,
        "words are found in any form of letters",
        "by words, whatever `search_mode` says",
    ),
    Operation(
        "POST",
        "/v1/agents/{agent_id}/messages",
        send,
        "queues behind a run at work; repeated by otid it is one run",
        "no token ids, no logprobs; `name`, `sender_id` and `group_id` of messages and `detail` of "
        "pictures are ignored; a message has at most 1 MiB, pictures included; "
        "refused are words of the assistant's, and answers behind a message",
    ),
    Operation(
        "POST",
        "/v1/agents/{agent_id}/messages/stream",
        stream,
        "seq_id, usage and [DONE] always; any stream resumes",
        "`compaction_stats` has the tokens before and after alone",
    ),
    Operation(
        "POST",
        "/v1/agents/{agent_id}/messages/async",
        send_later,
        "outlives the server; calls back again until it is heard",
        "a callback says in the native API's words why a run ended, and `completed` of one whose answer was cut",
    ),
    Operation(
        "POST",
        "/v1/agents/{agent_id}/messages/cancel",
        cancel,
        "ends a silent model and a running tool at once; says `failed` of a run that had ended",
    ),
    Operation(
        "GET",
        "/v1/agents/{agent_id}/messages",
        list_messages,
        "`order=desc` is newest first, and `after` goes on",
        "what was sent has a `run_id`, but no `step_id`",
    ),
    Operation("PATCH", "/v1/agents/{agent_id}/reset-messages", reset),
    Operation("POST", "/v1/agents/{agent_id}/summarize", summarize),
)
