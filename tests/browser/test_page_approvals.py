"""Calls that wait for a person, answered on the page."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.support.browsers import Served, Visitor, call


def careful_agent(server: Served) -> str:
    return server.agent(memoryBlocks=[{"label": "human", "value": ""}], toolApprovals={"memory_insert": True})


def memory(server: Served, agent_id: str) -> str:
    value: str = server.get(f"agents/{agent_id}/memory/human")["block"].get("value", "")
    return value


def ask(visitor: Visitor, *texts: str) -> Any:  # noqa: ANN401 - a locator
    visitor.play(
        [{"text": "May I?"}, *(call("memory_insert", label="human", text=text) for text in texts)], [{"text": "Well."}]
    )
    cards = visitor.page.locator(".call")
    expect(cards).to_have_count(len(texts))
    visitor.settled("asking")
    return cards


def test_an_approved_call_runs_with_the_models_arguments(server: Served, visitor: Visitor) -> None:
    agent_id = careful_agent(server)
    visitor.open(server.url, agent_id)
    card = ask(visitor, "tea")
    assert memory(server, agent_id) == ""
    card.get_by_role("button", name="Approve").click()
    visitor.settled()
    expect(card).to_have_attribute("data-state", "done")
    assert visitor.answers == ["May I?", "Well."]
    assert memory(server, agent_id) == "tea"


def test_a_denied_call_does_not_run_and_the_agent_is_told_why(server: Served, visitor: Visitor) -> None:
    agent_id = careful_agent(server)
    visitor.open(server.url, agent_id)
    card = ask(visitor, "tea")
    card.get_by_role("button", name="Deny").click()
    card.get_by_label("Why not?").fill("It is coffee.")
    card.get_by_role("button", name="Deny").click()
    visitor.settled()
    expect(card).to_have_attribute("data-state", "denied")
    expect(card).to_contain_text("You denied it: It is coffee.")
    assert memory(server, agent_id) == ""
    messages = server.get(f"agents/{agent_id}/messages")["messages"]
    assert any("It is coffee." in returned["text"] for one in messages for returned in one.get("toolReturns", []))


def test_edited_arguments_are_what_the_call_runs_with_and_must_be_json(server: Served, visitor: Visitor) -> None:
    agent_id = careful_agent(server)
    visitor.open(server.url, agent_id)
    card = ask(visitor, "tea")
    card.get_by_role("button", name="Edit arguments").click()
    field = card.get_by_label("Arguments, as JSON")
    expect(field).to_have_value('{\n  "label": "human",\n  "text": "tea"\n}')
    field.fill("{nothing")
    card.get_by_role("button", name="Approve with these").click()
    expect(card.locator(".fault")).to_contain_text("This is not JSON")
    field.fill('{"label": "human", "text": "green tea"}')
    card.get_by_role("button", name="Approve with these").click()
    visitor.settled()
    expect(card).to_contain_text("green tea")
    assert memory(server, agent_id) == "green tea"


def test_several_calls_are_answered_each_its_own_way_and_sent_together(server: Served, visitor: Visitor) -> None:
    agent_id = careful_agent(server)
    visitor.open(server.url, agent_id)
    cards = ask(visitor, "one", "two", "three")
    cards.nth(0).get_by_role("button", name="Approve").click()
    expect(visitor.page.locator("#hint")).to_have_text("1 of 3 answered; sent together with the last one.")
    cards.nth(1).get_by_role("button", name="Deny").click()
    cards.nth(1).get_by_label("Why not?").press("Enter")
    # A second thought is free until all are answered.
    cards.nth(0).get_by_role("button", name="Change").click()
    cards.nth(0).get_by_role("button", name="Deny").click()
    cards.nth(0).get_by_label("Why not?").press("Enter")
    cards.nth(2).get_by_role("button", name="Approve").click()
    visitor.settled()
    assert [card.get_attribute("data-state") for card in cards.all()] == ["denied", "denied", "done"]
    assert memory(server, agent_id) == "three"
    assert len(server.get("runs", agentId=agent_id)["runs"]) == 2


@pytest.mark.parametrize("answer", ["Approve", "write on"])
def test_a_question_survives_a_reload_and_blocks_nothing(server: Served, visitor: Visitor, answer: str) -> None:
    agent_id = careful_agent(server)
    visitor.open(server.url, agent_id)
    ask(visitor, "tea")
    visitor.page.reload()
    visitor.settled("asking")
    card = visitor.page.locator(".call")
    expect(card).to_have_count(1)
    if answer == "Approve":
        card.get_by_role("button", name="Approve").click()
        visitor.settled()
        assert visitor.answers == ["May I?", "Well."]
        assert memory(server, agent_id) == "tea"
    else:
        visitor.play([{"text": "Never mind."}])
        visitor.settled()
        assert visitor.answers[-1] == "Never mind."
        expect(card).to_have_attribute("data-state", "denied")
        visitor.page.reload()
        expect(card).to_contain_text("denied")
        assert memory(server, agent_id) == ""


def test_a_tool_that_another_program_was_to_run_can_be_answered_here(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent()
    text = '[[{"tool_call": {"name": "weather", "arguments": {}}}], [{"text": "Take an umbrella."}]]'
    run = {"messages": [{"user": {"text": text}}], "clientTools": [{"name": "weather"}]}
    server.post(f"agents/{agent_id}/runs:execute", run=run)
    visitor.open(server.url, agent_id)
    visitor.settled("asking")
    visitor.page.get_by_label("What the tool gave").fill("Rain.")
    visitor.page.get_by_role("button", name="Send the result").click()
    visitor.settled()
    assert visitor.answers == ["Take an umbrella."]
    expect(visitor.page.locator(".call .result")).to_contain_text("Rain.")
