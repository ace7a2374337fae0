"""Texts as people of any script and system write them."""

from playwright.sync_api import expect

from tests.support.browsers import Served, Visitor, call

ARABIC = "مرحبا بالعالم"
DIRECTION = "one => getComputedStyle(one).direction"


def set_block(server: Served, agent_id: str, value: str) -> None:
    path = f"/api/v1/agents/{agent_id}/memory/human"
    server.api.patch(path, json={"block": {"value": value}, "updateMask": "value"}).raise_for_status()


def test_a_block_with_the_line_ends_of_another_system_is_not_taken_for_edited(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(memoryBlocks=[{"label": "human", "value": ""}])
    set_block(server, agent_id, "l1\r\nl2\rl3")
    visitor.open(server.url, agent_id)
    page = visitor.page
    expect(page.get_by_label("human")).to_have_value("l1\nl2\nl3")
    for name in ("Save", "Revert"):
        expect(page.get_by_role("button", name=name, exact=True)).to_be_disabled()
    visitor.play([call("memory_insert", label="human", text="l4")], [{"text": "Written."}])
    visitor.settled()
    expect(page.get_by_label("human")).to_have_value("l1\nl2\nl3\nl4")
    expect(page.locator(".said")).to_be_empty()
    page.get_by_label("human").fill("mine")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    page.get_by_label("human").fill("l1\nl2\nl3\nl4")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()


def test_a_text_that_goes_from_right_to_left_begins_on_the_right(server: Served, visitor: Visitor) -> None:
    block = {"label": "human", "value": ARABIC}
    visitor.open(server.url, server.agent(memoryBlocks=[block], toolApprovals={"memory_insert": True}))
    page = visitor.page
    prose = f"# {ARABIC}\n\n{ARABIC} `code`\n\n- {ARABIC}\n\n> {ARABIC}\n\n```\n{ARABIC}\n```\n\nLatin."
    visitor.play([{"reasoning": ARABIC}, {"text": prose}])
    visitor.settled()
    for tag in ("h3", "p >> nth=0", "ul", "li", "blockquote", "pre"):
        assert page.locator(f".message.agent .prose {tag}").evaluate(DIRECTION) == "rtl", tag
    assert page.locator(".message.agent .prose > p").last.evaluate(DIRECTION) == "ltr"
    assert page.locator(".message.agent .reasoning .plain").evaluate(DIRECTION) == "rtl"
    field = page.get_by_label("Message", exact=True)
    field.fill(ARABIC)
    for one in (field, page.get_by_label("human")):
        assert one.evaluate(DIRECTION) == "rtl"
    field.press("Enter")
    visitor.settled()
    assert page.locator(".message.person .plain").last.evaluate(DIRECTION) == "rtl"
    visitor.play([call("memory_insert", label="human", text=ARABIC)])
    visitor.settled("asking")
    page.get_by_role("button", name="Deny").click()
    page.get_by_label("Why not?").fill(ARABIC)
    assert page.get_by_label("Why not?").evaluate(DIRECTION) == "rtl"
    # Arguments are JSON, whatever they hold.
    assert page.locator(".call .arguments").evaluate(DIRECTION) == "ltr"
