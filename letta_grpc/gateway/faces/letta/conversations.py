"""Conversations: threads of an agent, each with a context and a history of its own."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from starlette.responses import Response

from letta_grpc.gateway.faces.letta.compactions import compacted
from letta_grpc.gateway.faces.letta.contexts import ids_in_context, messages_in_context, prompt_of
from letta_grpc.gateway.faces.letta.errors import not_found
from letta_grpc.gateway.faces.letta.fields import text
from letta_grpc.gateway.faces.letta.ids import checked_id, request_id_of
from letta_grpc.gateway.faces.letta.messages import cancelled, messages_of
from letta_grpc.gateway.faces.letta.modes import OTIDS
from letta_grpc.gateway.faces.letta.open_runs import open_runs
from letta_grpc.gateway.faces.letta.operations import Ask, Json, Operation
from letta_grpc.gateway.faces.letta.pages import all_of, fetch_of, listed, ordered_by
from letta_grpc.gateway.faces.letta.pages_in_memory import page_of
from letta_grpc.gateway.faces.letta.recency import by_last_run
from letta_grpc.gateway.faces.letta.runs import followed
from letta_grpc.gateway.faces.letta.sending import answered
from letta_grpc.gateway.faces.letta.shapes.conversations import ARCHIVED_AT, DESCRIPTION, HIDDEN, conversation_json
from letta_grpc.gateway.faces.letta.targets import Target, agent_named, conversation_id_of, conversation_in, conversation_named
from letta_grpc.gateway.queueing import AT_WORK
from letta_grpc.v1 import conversation_service_pb2 as pb
from letta_grpc.v1 import conversations_pb2, run_service_pb2, runs_pb2

_BY_LAST_RUN = frozenset({"last_message_at", "last_run_completion"})
# Among how many of a conversation's newest runs the one that an otid names is looked for.
_LOOKED_THROUGH = 100


async def create(ask: Ask) -> Json:
    """Open a conversation."""
    conversation = conversations_pb2.Conversation(
        title=text(ask.body, "summary") or "", model=text(ask.body, "model") or "", metadata=_kept({}, ask.body)
    )
    request = pb.CreateConversationRequest(agent_id=agent_named(ask), conversation=conversation)
    made = (await ask.call(ask.services.conversations.CreateConversation, request)).conversation
    return conversation_json(made, [])


def _kept(metadata: Mapping[str, str], body: Mapping[str, Any]) -> dict[str, str]:
    """Return a conversation's metadata with what a body says that it has no field for."""
    kept = dict(metadata)
    if "description" in body:
        kept[DESCRIPTION] = str(body["description"] or "")
    if "hidden" in body:
        kept[HIDDEN] = "true" if body["hidden"] else ""
    if body.get("archived"):
        kept.setdefault(ARCHIVED_AT, datetime.now(UTC).isoformat(timespec="seconds"))
    elif "archived" in body:
        kept[ARCHIVED_AT] = ""
    return {name: value for name, value in kept.items() if value}


async def list_conversations(ask: Ask) -> Json:
    """List an agent's conversations."""
    agent_id = agent_named(ask, "is needed: conversations are listed agent by agent")
    words, wanted = (ask.query("summary_search") or "").lower(), ask.query("archive_status") or "all"

    def items(conversation: conversations_pb2.Conversation) -> list[Json]:
        # The default one is the agent itself, to the SDKs.
        fits = not conversation.is_default and words in conversation.title.lower()
        standing = "archived" if ARCHIVED_AT in conversation.metadata else "unarchived"
        return [conversation_json(conversation)] if fits and wanted in ("all", standing) else []

    request = pb.ListConversationsRequest(agent_id=agent_id)
    fetch = fetch_of(ask, ask.services.conversations.ListConversations, lambda page: page.conversations)
    if ordered_by(ask) not in _BY_LAST_RUN:
        return await listed(ask, request, fetch, items)
    found = await by_last_run(ask, await all_of(request, fetch), "conversation_id", agent_id)
    return page_of(ask, [item for each in found for item in items(each)], by_creation=False)


async def retrieve(ask: Ask) -> Json:
    """Show a conversation."""
    conversation = await conversation_named(ask, ask.path("conversation_id"))
    target = Target(agent_id=conversation.agent_id, conversation_id=conversation.id)
    if (messages := await messages_in_context(ask, target)) is None:
        return conversation_json(conversation)
    return conversation_json(conversation, messages, await ids_in_context(ask, target, messages))


async def update(ask: Ask) -> Json:
    """Change a conversation."""
    conversation = await conversation_named(ask, ask.path("conversation_id"))
    paths = [path for path, name in (("title", "summary"), ("model", "model")) if name in ask.body]
    changed = conversations_pb2.Conversation(
        title=text(ask.body, "summary") or "",
        model=text(ask.body, "model") or "",
        metadata=_kept(conversation.metadata, ask.body),
    )
    request = pb.UpdateConversationRequest(
        conversation_id=conversation.id, conversation=changed, update_mask=FieldMask(paths=[*paths, "metadata"])
    )
    return conversation_json((await ask.call(ask.services.conversations.UpdateConversation, request)).conversation)


async def delete(ask: Ask) -> Json:
    """Remove a conversation."""
    conversation_id = checked_id("conv", ask.path("conversation_id"))
    request = pb.DeleteConversationRequest(conversation_id=conversation_id)
    await ask.call(ask.services.conversations.DeleteConversation, request)
    return {"message": f"Conversation {conversation_id} is deleted."}


async def fork(ask: Ask) -> Json:
    """Copy a conversation into a new one."""
    target = await conversation_in(ask)
    conversation_id = await conversation_id_of(ask, target)
    up_to = text(ask.body, "message_id") or ask.query("message_id") or ""
    request = pb.ForkConversationRequest(conversation_id=conversation_id, up_to_message_id=up_to)
    return conversation_json((await ask.call(ask.services.conversations.ForkConversation, request)).conversation)


async def send(ask: Ask) -> Json | Response:
    """Send messages; the answer is a stream unless the body says otherwise."""
    return await answered(ask, await conversation_in(ask), streaming=ask.body.get("streaming", True) is not False)


async def list_messages(ask: Ask) -> Json:
    """List a conversation's messages."""
    return await messages_of(ask, await conversation_in(ask))


async def cancel(ask: Ask) -> Json:
    """End what is at work in a conversation, or waits for answers."""
    return await cancelled(ask, await open_runs(ask, await conversation_in(ask), within_conversation=True))


async def compact(ask: Ask) -> Json:
    """Compact a conversation."""
    return await compacted(ask, await conversation_in(ask))


async def recompile(ask: Ask) -> Json:
    """Show the system prompt, which is made anew whenever a model is asked."""
    return await prompt_of(ask, await conversation_in(ask))


async def follow(ask: Ask) -> Response:
    """Follow the run that the body names by its id or an otid, or the newest one that is at work."""
    run_id = ask.body.get("run_id")
    if run_id:
        request = run_service_pb2.GetRunRequest(run_id=checked_id("run", str(run_id), "body"))
        return await followed(ask, (await ask.call(ask.services.runs.GetRun, request)).run)
    target = await conversation_in(ask)
    conversation_id = await conversation_id_of(ask, target)
    newest = run_service_pb2.ListRunsRequest(
        agent_id=target.agent_id, conversation_id=conversation_id, descending=True, page_size=_LOOKED_THROUGH
    )
    runs = (await ask.call(ask.services.runs.ListRuns, newest)).runs
    otid = ask.body.get("otid")
    wanted = request_id_of(target.key, [str(otid)]) if otid else None

    def is_meant(run: runs_pb2.Run) -> bool:
        if wanted is None:
            return run.state in AT_WORK
        return run.request_id == wanted or str(otid) in run.metadata.get(OTIDS, "").split("\n")

    found = next(filter(is_meant, runs), None)
    if found is None:
        raise not_found(f"No run of this conversation has the otid {otid!r}." if otid else "Nothing is at work here.")
    return await followed(ask, found)


OPERATIONS: Sequence[Operation] = (
    Operation("POST", "/v1/conversations/", create, differs="of the model's settings it has its own `model` alone"),
    Operation(
        "GET", "/v1/conversations/", list_conversations, differs="needs agent_id; `last_message_at` is null in the list"
    ),
    Operation("GET", "/v1/conversations/{conversation_id}", retrieve),
    Operation("PATCH", "/v1/conversations/{conversation_id}", update),
    Operation("DELETE", "/v1/conversations/{conversation_id}", delete),
    Operation("POST", "/v1/conversations/{conversation_id}/messages", send, "queues behind a run at work"),
    Operation("GET", "/v1/conversations/{conversation_id}/messages", list_messages),
    Operation("POST", "/v1/conversations/{conversation_id}/stream", follow, "any run, also after a restart"),
    Operation("POST", "/v1/conversations/{conversation_id}/cancel", cancel),
    Operation("POST", "/v1/conversations/{conversation_id}/fork", fork, "copies context and history in one transaction"),
    Operation("POST", "/v1/conversations/{conversation_id}/compact", compact),
    Operation("POST", "/v1/conversations/{conversation_id}/recompile", recompile, "never needed"),
)
