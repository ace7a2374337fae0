"""What the address of the page names: the agent that is opened, and no other."""

from playwright.sync_api import Route, expect

from tests.support.browsers import Served, Visitor


def chosen(visitor: Visitor) -> str:
    """The agent that the list in the header names."""
    return str(visitor.page.get_by_label("Agent", exact=True).input_value())


def with_words(server: Served, name: str) -> str:
    """An agent with something in its conversation that is its own."""
    agent_id = server.agent(name, model="scripted/echo")
    server.post(f"agents/{agent_id}/runs:execute", run={"messages": [{"user": {"text": f"I am {name}."}}]})
    return agent_id


def test_an_agent_that_was_made_elsewhere_is_opened_by_its_address(server: Served, visitor: Visitor) -> None:
    visitor.open(server.url, server.agent("Known"))
    agent_id = with_words(server, "Late")
    visitor.page.evaluate("id => { location.hash = id; }", agent_id)
    expect(visitor.page.locator(".message.agent .prose")).to_have_text("I am Late.")
    expect(visitor.page.locator("#agent option:checked")).to_have_text("Late")
    assert visitor.page.url.endswith(f"#{agent_id}")


def test_every_agent_is_in_the_list_however_many_pages_it_has(server: Served, visitor: Visitor) -> None:
    ids = [server.agent(name) for name in ("First", "Second", "Third")]

    def in_small_pages(route: Route) -> None:
        route.continue_(url=route.request.url.replace("pageSize=1000", "pageSize=2"))

    visitor.page.route("**/api/v1/agents?*", in_small_pages)
    visitor.open(server.url, ids[0])
    assert chosen(visitor) == ids[0]
    listed = visitor.page.locator("#agent option").evaluate_all("all => all.map(one => one.value)")
    assert set(ids) <= set(listed)
    assert len(listed) == len(set(listed))


def test_an_address_of_no_agent_opens_none(server: Served, visitor: Visitor) -> None:
    agent_id = with_words(server, "Somebody")
    visitor.open(server.url, agent_id)
    nobody = agent_id[:-12] + "0" * 12
    visitor.page.evaluate("id => { location.hash = id; }", nobody)
    expect(visitor.page.locator(".event.failed")).to_have_count(1)
    visitor.settled("closed")
    assert chosen(visitor) == ""
    assert visitor.page.url.endswith(f"#{nobody}")
    assert visitor.page.locator(".message").count() == 0
    visitor.page.get_by_label("Agent", exact=True).select_option(agent_id)
    expect(visitor.page.locator(".message.agent .prose")).to_have_text("I am Somebody.")
    visitor.settled()
    assert all("404" in problem for problem in visitor.problems)
    visitor.problems.clear()


def test_the_link_past_the_header_leads_to_no_other_agent(server: Served, visitor: Visitor) -> None:
    agent_id = with_words(server, "Older")
    server.agent("Newer")
    visitor.open(server.url, agent_id)
    visitor.page.keyboard.press("Tab")
    visitor.page.keyboard.press("Enter")
    expect(visitor.page.get_by_label("Message", exact=True)).to_be_focused()
    expect(visitor.page).to_have_url(f"{server.url}/#{agent_id}")
    assert chosen(visitor) == agent_id
    assert visitor.answers == ["I am Older."]


def test_an_agent_that_is_deleted_meanwhile_is_missed_once_and_not_for_ever(server: Served, visitor: Visitor) -> None:
    other, agent_id = with_words(server, "Other"), with_words(server, "Gone")
    visitor.open(server.url, agent_id)
    server.api.delete(f"/api/v1/agents/{agent_id}").raise_for_status()
    visitor.write("Are you there?")
    expect(visitor.page.locator(".event.failed")).to_have_count(1)
    visitor.settled("closed")
    expect(visitor.page.get_by_label("Message", exact=True)).to_have_value("Are you there?")
    assert visitor.page.locator(".event.failed").count() == 1
    visitor.page.get_by_label("Agent", exact=True).select_option(other)
    visitor.settled()
    assert visitor.answers == ["I am Other."]
    assert all("404" in problem for problem in visitor.problems)
    visitor.problems.clear()
