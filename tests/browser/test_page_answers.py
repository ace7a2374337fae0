"""The chat page at work: what streams, what stops, what is remembered."""

import re

import pytest
from playwright.sync_api import expect

from tests.requirements.registry import requirement
from tests.support.browsers import Served, Visitor, call

WORDS = [f"word{number} " for number in range(30)]
STREAM = [{"delay_ms": 20, "text": word} for word in WORDS]
LIVE_TOOL = '''
def count_slowly(limit: int) -> str:
    """Count.

    Args:
        limit: How far.
    """
    import time

    print("one", flush=True)
    time.sleep(limit)
    return "done"
'''


def said(visitor: Visitor) -> str:
    return "".join(visitor.answers)


def test_text_and_reasoning_stream_as_they_come(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    page = visitor.page
    visitor.play([{"reasoning": "Let me think."}, {"text": "Hello "}, {"wait_for_cancel": True}])
    expect(page.locator(".message.agent .prose")).to_have_text("Hello")
    expect(page.locator(".message.agent")).to_have_attribute("aria-busy", "true")
    thought = page.locator("details.reasoning")
    expect(thought.get_by_text("Let me think.")).to_be_hidden()
    thought.locator("summary").click()
    expect(thought.get_by_text("Let me think.")).to_be_visible()
    expect(page.locator("#figures")).to_have_text(re.compile(r"first token \d+ m?s · ≈ \d+ tokens/s"))
    page.get_by_role("button", name="Stop").click()
    visitor.settled()


@requirement("tutorial_application", "tutorial_metrics")
def test_an_answer_is_whole_and_its_figures_are_the_servers(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    visitor.play(STREAM)
    visitor.settled()
    assert said(visitor) == "".join(WORDS)
    expect(visitor.page.locator(".message .figures")).to_have_text(
        re.compile(r"^first token [\d.]+ m?s · \d+ tokens/s · 30 tokens$")
    )
    expect(visitor.page.get_by_text("The answer is complete.")).to_be_attached()


@pytest.mark.parametrize("how", ["button", "Escape"])
def test_stop_ends_the_run_and_keeps_what_was_said(server: Served, visitor: Visitor, how: str) -> None:
    agent_id = server.agent()
    visitor.open(server.url, agent_id)
    visitor.play([{"text": "Half a sent"}, {"wait_for_cancel": True}], [{"text": "never"}])
    expect(visitor.page.locator(".message.agent .prose")).to_have_text("Half a sent")
    if how == "button":
        visitor.page.get_by_role("button", name="Stop").click()
    else:
        visitor.page.keyboard.press("Escape")
    expect(visitor.page.get_by_text("Stopped.")).to_be_visible()
    visitor.settled()
    assert visitor.answers == ["Half a sent"]
    assert [run["state"] for run in server.get("runs", agentId=agent_id)["runs"]] == ["RUN_STATE_CANCELLED"]


def test_a_tool_call_shows_arguments_live_output_status_and_result(server: Served, visitor: Visitor) -> None:
    server.api.put("/api/v1/tools", json={"tool": {"python": {"code": LIVE_TOOL}}}).raise_for_status()
    visitor.open(server.url, server.agent(tools=["count_slowly"]))
    card = visitor.page.locator(".call")
    visitor.play([call("count_slowly", limit="600")])
    expect(card).to_contain_text("is running")
    expect(card.locator("details")).to_contain_text("one")
    expect(card.locator(".arguments")).to_contain_text('"limit": "600"')
    visitor.page.get_by_role("button", name="Stop").click()
    visitor.settled()
    expect(card).to_contain_text("failed")
    visitor.play([call("count_slowly", limit="0")], [{"text": "Counted."}])
    visitor.settled()
    expect(card.last).to_contain_text("done")
    expect(card.last.locator(".result")).to_contain_text("done")
    assert visitor.answers == ["Counted."]


def test_a_failed_run_says_why(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    visitor.play([{"error": "MODEL_OVERLOADED", "message": "Too much to do."}])
    expect(visitor.page.locator(".event.failed")).to_contain_text("MODEL_OVERLOADED")
    visitor.settled()


def test_the_conversation_is_there_on_load_and_its_older_pages_on_demand(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(model="scripted/echo")
    for number in range(40):
        run = {"messages": [{"user": {"text": f"number {number}"}}]}
        server.post(f"agents/{agent_id}/runs:execute", run=run)
    visitor.open(server.url, agent_id)
    expect(visitor.page.locator(".message.agent")).to_have_count(25)
    assert visitor.answers == [f"number {number}" for number in range(15, 40)]
    visitor.page.get_by_role("button", name="Show older messages").click()
    expect(visitor.page.locator(".message.agent")).to_have_count(40)
    assert visitor.answers == [f"number {number}" for number in range(40)]
    expect(visitor.page.get_by_role("button", name="Show older messages")).to_be_hidden()


def test_what_a_call_gave_is_found_on_another_page_than_the_call(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(memoryBlocks=[{"label": "human", "value": ""}])
    visitor.open(server.url, agent_id)
    # 54 messages: the newest 50 begin with what the second call gave.
    visitor.play(*([[call("memory_insert", label="human", text="x")]] * 26), [{"text": "Enough."}])
    visitor.settled()
    visitor.page.reload()
    expect(visitor.page.locator(".call")).to_have_count(24)
    visitor.page.get_by_role("button", name="Show older messages").click()
    expect(visitor.page.locator(".call")).to_have_count(26)
    expect(visitor.page.locator('.call[data-state="done"]')).to_have_count(26)


@requirement("tutorial_application")
def test_agents_are_made_and_switched_and_a_reload_stays_with_the_chosen_one(server: Served, visitor: Visitor) -> None:
    first = server.agent("First", model="scripted/echo")
    visitor.open(server.url, first)
    visitor.write("to the first")
    visitor.settled()
    page = visitor.page
    page.get_by_role("button", name="New agent").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Second")
    dialog.get_by_label("Model").fill("scripted/echo")
    dialog.get_by_label("What it knows about you").fill("Likes tea.")
    dialog.get_by_role("button", name="Make it").click()
    expect(page.locator("#agent option:checked")).to_have_text("Second")
    expect(page.get_by_label("human")).to_have_value("Likes tea.")
    expect(page.locator(".message")).to_have_count(0)
    visitor.write("to the second")
    visitor.settled()
    page.get_by_label("Agent", exact=True).select_option(first)
    expect(page.locator(".message.agent .prose")).to_have_text("to the first")
    page.reload()
    expect(page.locator(".message.agent .prose")).to_have_text("to the first")


def test_an_unknown_model_is_told_in_the_dialog(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    visitor.page.get_by_role("button", name="New agent").click()
    visitor.page.get_by_label("Model").fill("nobody/nothing")
    visitor.page.get_by_role("button", name="Make it").click()
    expect(visitor.page.get_by_role("alert")).not_to_be_empty()
    # The browser itself reports the refusal.
    assert [problem for problem in visitor.problems if "400" not in problem] == []
    visitor.problems.clear()


def test_memory_is_edited_within_its_limit_and_over_nobodys_change(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(memoryBlocks=[{"label": "human", "value": "tea", "limit": 12}])
    visitor.open(server.url, agent_id)
    page = visitor.page
    field, save = page.get_by_label("human"), page.get_by_role("button", name="Save", exact=True)
    expect(page.locator(".counter")).to_have_text("3 / 12")
    field.fill("😀" * 13)
    expect(page.locator(".counter")).to_have_text("13 / 12")
    expect(save).to_be_disabled()
    field.fill("coffee")
    save.click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    path = f"/api/v1/agents/{agent_id}/memory/human"
    assert server.api.get(path).json()["block"]["value"] == "coffee"
    server.api.patch(path, json={"block": {"value": "water"}, "updateMask": "value"}).raise_for_status()
    field.fill("wine")
    save.click()
    expect(page.locator(".said")).to_contain_text("changed meanwhile")
    expect(page.locator(".said")).to_contain_text("water")
    assert server.api.get(path).json()["block"]["value"] == "water"
    page.get_by_role("button", name="Save mine over it").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert server.api.get(path).json()["block"]["value"] == "wine"
    assert all("409" in problem for problem in visitor.problems)
    visitor.problems.clear()


def test_what_the_agent_writes_into_its_memory_is_seen_at_once(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent(memoryBlocks=[{"label": "human", "value": "tea"}]))
    visitor.play([call("memory_insert", label="human", text="and cake")], [{"wait_for_cancel": True}])
    expect(visitor.page.get_by_label("human")).to_have_value("tea\nand cake")
    visitor.page.keyboard.press("Escape")
    visitor.settled()


def test_a_conversation_that_is_busy_elsewhere_is_shown_and_the_words_are_kept(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent()
    visitor.open(server.url, agent_id)
    other = {"messages": [{"user": {"text": '[[{"text": "Elsewhere."}, {"wait_for_cancel": true}]]'}}]}
    run_id = server.post(f"agents/{agent_id}/runs", run=other)["run"]["id"]
    visitor.write("mine")
    expect(visitor.page.locator(".message.agent .prose")).to_have_text("Elsewhere.")
    expect(visitor.page.get_by_label("Message", exact=True)).to_have_value("mine")
    # Told while it is true, and once.
    assert server.get(f"runs/{run_id}")["run"]["state"] == "RUN_STATE_RUNNING"
    expect(visitor.page.locator(".event.failed")).to_have_count(1)
    server.post(f"runs/{run_id}:cancel")
    visitor.settled()
    assert visitor.page.locator(".message.person").count() == 1
    assert visitor.page.locator(".event.failed").count() == 1
    assert all("409" in problem for problem in visitor.problems)
    visitor.problems.clear()
