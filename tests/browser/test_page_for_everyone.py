"""The page without a mouse, on a phone, in the dark, and read out."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browsers import PAGE_SOURCES, PAGE_TOOLS, Served, Visitor, call, visiting
from tests.support.programs import missing

MARKDOWN = "# Title\n\nText with `code`, **bold** and https://a.example.\n\n- one\n- two\n\n```\ncode\n```\n\n> quote"


def violations(page: Page) -> list[Any]:
    """What axe finds, by every rule that it has for WCAG 2.2 AA and for good practice."""
    script = PAGE_SOURCES / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        missing(PAGE_TOOLS)
    # Evaluated by the debugger, which the page's own policy does not reach.
    page.evaluate(script.read_text())
    found = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]


def conversation(server: Served, visitor: Visitor) -> None:
    """Have everything on the page that it can show."""
    agent_id = server.agent(memoryBlocks=[{"label": "human", "value": "tea"}], toolApprovals={"memory_insert": True})
    visitor.open(server.url, agent_id)
    visitor.play([{"reasoning": "Hm."}, {"text": MARKDOWN}, call("conversation_search", query="tea")], [{"text": "Done."}])
    visitor.settled()
    visitor.play([{"error": "MODEL_OVERLOADED"}])
    visitor.settled()
    visitor.play(
        [{"text": "May I?"}, call("memory_insert", label="human", text="x"), call("memory_insert", label="human", text="y")]
    )
    visitor.settled("asking")
    visitor.page.get_by_role("button", name="Deny").first.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_axe_finds_nothing(server: Served, browser: Browser, scheme: Any, width: int) -> None:  # noqa: ANN401 - a literal type
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    with visiting(context) as visitor:
        conversation(server, visitor)
        assert violations(visitor.page) == []
        if width < 1000:
            visitor.page.get_by_role("button", name="Memory", exact=True).click()
            assert violations(visitor.page) == []
            visitor.page.get_by_role("button", name="Close memory").click()
        visitor.page.get_by_role("button", name="New agent").click()
        assert violations(visitor.page) == []
        visitor.page.keyboard.press("Escape")
        visitor.page.get_by_role("button", name="API key").click()
        assert violations(visitor.page) == []
        assert visitor.problems == []


def focused(page: Page) -> str:
    """The name of what has the focus."""
    label = "one => one.getAttribute('aria-label') || one.labels?.[0]?.textContent || one.textContent"
    name: str = page.evaluate(f"() => ({label})(document.activeElement)")
    return name.strip()


def test_a_keyboard_alone_does_everything(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(memoryBlocks=[{"label": "human", "value": ""}], toolApprovals={"memory_insert": True})
    visitor.open(server.url, agent_id)
    page, keys = visitor.page, visitor.page.keyboard
    keys.press("Tab")
    assert focused(page) == "Skip to the message field"
    order = []
    for _ in range(7):
        keys.press("Tab")
        order.append(focused(page))
    assert order == ["Agent", "New agent", "API key", "Memory", "Messages", "Message", "human"]
    keys.press("Shift+Tab")
    assert focused(page) == "Message"
    keys.insert_text(
        json.dumps([[call("memory_insert", label="human", text="tea")], [{"text": "Noted."}, {"wait_for_cancel": True}]])
    )
    keys.press("Enter")
    visitor.settled("asking")
    # Backwards from the message field: deny, edit, approve.
    for expected in ("Deny", "Edit arguments", "Approve"):
        keys.press("Shift+Tab")
        assert focused(page) == expected
    keys.press("Tab")
    keys.press("Enter")
    assert focused(page) == "Arguments, as JSON"
    keys.press("Escape")
    assert focused(page) == "Approve"
    keys.press("Enter")
    assert focused(page) == "Message"
    expect(page.locator(".message.agent .prose")).to_have_text("Noted.")
    keys.press("Escape")
    visitor.settled()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    keys.insert_text("one")
    keys.press("Shift+Enter")
    keys.insert_text("two")
    assert page.get_by_label("Message", exact=True).input_value() == "one\ntwo"


def test_the_focus_stays_in_the_conversation_when_nothing_older_is_left(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(model="scripted/echo")
    for number in range(60):
        server.post(f"agents/{agent_id}/runs:execute", run={"messages": [{"user": {"text": f"number {number}"}}]})
    visitor.open(server.url, agent_id)
    older = visitor.page.get_by_role("button", name="Show older messages")
    older.focus()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(".message.agent")).to_have_count(50)
    # The next page is one key away, and after the last one the keys scroll what was loaded.
    expect(older).to_be_focused()
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.locator(".message.agent")).to_have_count(60)
    expect(older).to_be_hidden()
    expect(visitor.page.locator("#pane")).to_be_focused()


def test_what_happens_is_read_out(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent("Grace"))
    page = visitor.page
    expect(page.get_by_role("log")).to_be_attached()
    visitor.play([{"text": "Part"}, {"wait_for_cancel": True}])
    expect(page.locator("#announcement")).to_have_text("Grace is answering.")
    # While it grows a reader waits; what is whole is read.
    expect(page.locator(".message.agent")).to_have_attribute("aria-busy", "true")
    page.keyboard.press("Escape")
    visitor.settled()
    expect(page.locator(".message.agent")).to_have_attribute("aria-busy", "false")


@pytest.fixture
def phone(browser: Browser) -> Iterator[Visitor]:
    size: Any = {"width": 360, "height": 640}
    context = browser.new_context(viewport=size, has_touch=True, is_mobile=True, device_scale_factor=2, color_scheme="dark")
    with visiting(context) as visitor:
        yield visitor
        assert visitor.problems == []


def test_on_a_phone_nothing_is_wider_than_the_screen(server: Served, phone: Visitor) -> None:
    page = phone.page
    phone.open(
        server.url,
        server.agent(
            "An agent with quite a long name, longer than a phone is wide", memoryBlocks=[{"label": "human", "value": "tea"}]
        ),
    )
    field = page.get_by_label("Message", exact=True)
    long = "x" * 300
    field.fill(
        json.dumps(
            [[{"reasoning": long}, {"text": f"{long}\n\n```\n{long}\n```"}, call("memory_insert", label="human", text=long)]]
        )
    )
    # Enter begins a line where there is no keyboard; the button sends.
    field.press("Enter")
    phone.settled()
    page.get_by_role("button", name="Send").tap()
    phone.settled()
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    for name in ("New agent", "API key"):
        size = page.get_by_role("button", name=name).bounding_box()
        assert size
        assert min(size["width"], size["height"]) >= 35, name
    for one in page.locator("button:visible, textarea:visible, select:visible, .call, .message").all():
        box = one.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    expect(page.get_by_label("human")).to_be_hidden()
    page.get_by_role("button", name="Memory", exact=True).tap()
    expect(page.get_by_label("human")).to_be_visible()
    page.get_by_role("button", name="Close memory").tap()
    expect(page.get_by_label("human")).to_be_hidden()


def test_in_the_dark_the_page_is_dark(server: Served, phone: Visitor, visitor: Visitor) -> None:
    brightness = "() => Math.max(...getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number))"
    for one in (phone, visitor):
        one.open(server.url, server.agent())
    assert phone.page.evaluate(brightness) < 60
    assert visitor.page.evaluate(brightness) > 200
