"""What waits for answers in one conversation of an agent is no matter of its others."""

from collections.abc import Callable
from typing import Any

import letta_client
import pytest

from tests.support.letta import TOOL, Client, Site, call, said, script, user

APPROVED: Any = [{"type": "approval", "approve": True}]
PENDING: Any = ["agent.pending_approval"]


def asking(call_id: str) -> list[dict[str, Any]]:
    return user(script([call(call_id)], [{"text": f"{call_id} is done"}]))


@pytest.fixture
def agent_id(site: Site) -> str:
    """A new agent that asks before it writes."""
    return site.agent(toolApprovals={TOOL: True})


@pytest.fixture
def side(client: Client, agent_id: str) -> str:
    """A side conversation of it, which waits."""
    conversation_id: str = client.conversations.create(agent_id=agent_id).id
    list(client.conversations.messages.create(conversation_id, messages=asking("side")))
    return conversation_id


def test_an_agent_waits_for_what_its_default_conversation_asked(client: Client, agent_id: str, side: str) -> None:
    assert side
    assert client.agents.retrieve(agent_id, include=PENDING).pending_approval is None
    client.agents.messages.create(agent_id, messages=asking("main"))
    assert client.agents.retrieve(agent_id, include=PENDING).pending_approval.tool_call.tool_call_id == "main"


def test_each_conversation_takes_the_answers_to_its_own_calls(client: Client, agent_id: str, side: str) -> None:
    client.agents.messages.create(agent_id, messages=asking("main"))
    assert said(client.agents.messages.create(agent_id, messages=APPROVED).messages) == "main is done"
    assert said(client.conversations.messages.create(side, messages=APPROVED)) == "side is done"


def test_an_answer_to_another_conversations_call_is_refused(client: Client, agent_id: str, side: str) -> None:
    assert side
    with pytest.raises(letta_client.UnprocessableEntityError, match="open are: none"):
        client.agents.messages.create(agent_id, messages=APPROVED)


def test_who_is_refused_is_told_what_the_sdk_can_do(client: Client, agent_id: str) -> None:
    client.agents.messages.create(agent_id, messages=asking("main"))
    refused: list[Callable[[], object]] = [
        lambda: client.agents.messages.create(agent_id, input="hello?"),
        lambda: client.agents.messages.create(agent_id, input="hello?", streaming=True),
        lambda: client.agents.messages.compact(agent_id),
    ]
    detail: Any = {}
    for ask in refused:
        with pytest.raises(letta_client.ConflictError) as error:
            ask()
        body: Any = error.value.body
        detail = body["detail"]
        assert detail["code"] == "PENDING_APPROVAL"
        assert "send an approval" in detail["message"]
        assert "ENQUEUE" not in detail["message"]
    (told,) = [run.id for run in client.runs.list(agent_id=agent_id, stop_reason="requires_approval")]
    assert detail["run_id"] == told
    assert client.agents.messages.cancel(agent_id, run_ids=[told]) == {told: "cancelled"}
    assert said(client.agents.messages.create(agent_id, messages=user(script([{"text": "Hi."}]))).messages) == "Hi."


def test_who_finds_a_conversation_busy_is_told_so_too(client: Client, agent_id: str) -> None:
    at_work = client.agents.messages.create_async(agent_id, messages=user(script([{"wait_for_cancel": True}])))
    with pytest.raises(letta_client.ConflictError) as error:
        client.agents.messages.compact(agent_id)
    body: Any = error.value.body
    assert (body["detail"]["code"], body["detail"]["run_id"]) == ("CONVERSATION_BUSY", at_work.id)
    assert "messages/cancel" in body["detail"]["message"]
    assert "ENQUEUE" not in body["detail"]["message"]
    client.agents.messages.cancel(agent_id, run_ids=[at_work.id])


def test_cancelling_all_ends_what_waits_in_any_number_of_conversations(client: Client, agent_id: str) -> None:
    for number in range(51):
        conversation_id = client.conversations.create(agent_id=agent_id).id
        list(client.conversations.messages.create(conversation_id, messages=asking(f"call_{number}")))
    waiting = {run.id for run in client.runs.list(agent_id=agent_id, stop_reason="requires_approval")}
    assert client.agents.messages.cancel(agent_id) == dict.fromkeys(waiting, "cancelled")
    assert len(waiting) == 51
    with pytest.raises(letta_client.ConflictError):
        client.agents.messages.cancel(agent_id)
