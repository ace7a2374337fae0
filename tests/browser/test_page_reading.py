"""What is in view while an answer grows, and how arguments of tool calls look."""

import json

from playwright.sync_api import expect

from tests.support.browsers import Served, Visitor, call

AT_END = "pane => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 2"
LINES = [{"delay_ms": 5, "text": f"line {number}\n\n"} for number in range(60)]


def test_the_end_stays_in_view_while_it_grows(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    visitor.play(LINES)
    visitor.settled()
    pane = visitor.page.locator("#pane")
    assert pane.evaluate("pane => pane.scrollHeight > 2 * pane.clientHeight")
    assert pane.evaluate(AT_END)
    expect(visitor.page.get_by_role("button", name="Newest")).to_be_hidden()


def test_who_reads_further_up_is_left_there_and_finds_the_way_back(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent())
    visitor.play([*LINES, {"text": "waiting"}, {"wait_for_cancel": True}])
    expect(visitor.page.locator(".message.agent .prose")).to_contain_text("waiting")
    pane, newest = visitor.page.locator("#pane"), visitor.page.get_by_role("button", name="Newest")
    pane.evaluate("pane => { pane.scrollTop = 100; }")
    expect(newest).to_be_visible()
    visitor.page.get_by_role("button", name="Stop").click()
    visitor.settled()
    assert pane.evaluate("pane => pane.scrollTop") == 100
    newest.click()
    expect(newest).to_be_hidden()
    assert pane.evaluate(AT_END)


def test_short_arguments_are_one_line_and_long_ones_are_indented(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent(toolApprovals={"memory_insert": True}))
    long = {"label": "human", "text": "x" * 80}
    visitor.play([call("memory_insert", label="human", text="a, b: {c}"), call("memory_insert", **long)])
    visitor.settled("asking")
    shown = visitor.page.locator(".call .arguments").all_text_contents()
    assert shown == ['{"label": "human", "text": "a, b: {c}"}', json.dumps(long, indent=2)]
