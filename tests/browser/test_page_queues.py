"""A question that other runs wait behind, and what others do in a conversation that the page shows."""

import json
from typing import Any

from playwright.sync_api import expect

from tests.support.browsers import Served, Visitor, call


def careful_agent(server: Served) -> str:
    return server.agent(memoryBlocks=[{"label": "human", "value": ""}], toolApprovals={"memory_insert": True})


def memory(server: Served, agent_id: str) -> str:
    value: str = server.get(f"agents/{agent_id}/memory/human")["block"].get("value", "")
    return value


def run_of(*turns: Any, policy: str = "ENQUEUE") -> Any:  # noqa: ANN401 - JSON
    """A run that another client starts."""
    return {"messages": [{"user": {"text": json.dumps(turns)}}], "conflictPolicy": f"CONFLICT_POLICY_{policy}"}


QUESTION = ([{"text": "May I?"}, call("memory_insert", label="human", text="tea")], [{"text": "Well."}])
NEXT = ([{"text": "Next."}],)


def asked_with_one_behind(server: Served) -> tuple[str, str]:
    """An agent that waits for an answer, and the id of the run that waits behind the question."""
    agent_id = careful_agent(server)
    server.post(f"agents/{agent_id}/runs:execute", run=run_of(*QUESTION))
    queued = server.post(f"agents/{agent_id}/runs", run=run_of(*NEXT))["run"]
    assert queued["state"] == "RUN_STATE_QUEUED"
    return agent_id, queued["id"]


def test_a_question_is_asked_while_a_run_is_queued_behind_it(server: Served, visitor: Visitor) -> None:
    agent_id, _ = asked_with_one_behind(server)
    visitor.open(server.url, agent_id)
    visitor.settled("asking")
    visitor.page.get_by_role("button", name="Approve").click()
    expect(visitor.page.get_by_text("Next.", exact=True)).to_be_visible()
    visitor.settled()
    assert visitor.answers == ["May I?", "Well.", "Next."]
    assert memory(server, agent_id) == "tea"


def test_a_run_that_is_followed_asks_while_another_is_queued(server: Served, visitor: Visitor) -> None:
    agent_id = careful_agent(server)
    first, *rest = QUESTION
    server.post(f"agents/{agent_id}/runs", run=run_of([{"delay_ms": 2500, "text": "Slow."}, *first], *rest))
    server.post(f"agents/{agent_id}/runs", run=run_of(*NEXT))
    visitor.open(server.url, agent_id)
    visitor.settled("asking")
    visitor.page.get_by_role("button", name="Approve").click()
    expect(visitor.page.get_by_text("Next.", exact=True)).to_be_visible()
    visitor.settled()
    assert visitor.answers == ["Slow.May I?", "Well.", "Next."]
    assert memory(server, agent_id) == "tea"


def test_who_writes_instead_of_answering_comes_before_what_is_queued(server: Served, visitor: Visitor) -> None:
    agent_id, _ = asked_with_one_behind(server)
    visitor.open(server.url, agent_id)
    visitor.settled("asking")
    visitor.play([{"text": "Never mind."}])
    expect(visitor.page.get_by_text("Next.", exact=True)).to_be_visible()
    visitor.settled()
    assert visitor.answers == ["May I?", "Never mind.", "Next."]
    assert memory(server, agent_id) == ""


def test_an_answer_that_somebody_else_gave_is_seen_by_what_was_queued(server: Served, visitor: Visitor) -> None:
    agent_id, _ = asked_with_one_behind(server)
    visitor.open(server.url, agent_id)
    visitor.settled("asking")
    waiting = server.get("runs", agentId=agent_id, hasPendingActions="true")["runs"]
    decision = {"toolCallId": waiting[0]["pendingActions"][0]["toolCallId"], "approve": {}}
    server.post(f"agents/{agent_id}/runs:execute", run={"messages": [{"approval": {"decisions": [decision]}}]})
    expect(visitor.page.get_by_text("Next.", exact=True)).to_be_visible()
    visitor.settled()
    assert visitor.answers == ["May I?", "Well.", "Next."]
    expect(visitor.page.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_question_stays_as_it_is_when_what_was_queued_is_cancelled(server: Served, visitor: Visitor) -> None:
    agent_id, queued = asked_with_one_behind(server)
    visitor.open(server.url, agent_id)
    visitor.settled("asking")
    visitor.page.get_by_role("button", name="Deny").click()
    reason = visitor.page.get_by_label("Why not?")
    reason.fill("It is coffee.")
    with visitor.page.expect_request("**/runs?*hasPendingActions=true*"):
        server.post(f"runs/{queued}:cancel")
    expect(reason).to_have_value("It is coffee.")
    reason.press("Enter")
    expect(visitor.page.locator(".call")).to_contain_text("You denied it: It is coffee.")
    visitor.settled()
    assert visitor.answers == ["May I?", "Well."]
