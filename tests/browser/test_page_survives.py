"""What breaks in the middle of an answer, and leaves no trace in it: no word is lost, none comes twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.support.browsers import Served, Visitor, call

WORDS = [f"word{number} " for number in range(60)]
TEXT = "".join(WORDS)
SLOW = [{"delay_ms": 40, "text": word} for word in WORDS]
# Two reloads fall into it, and a busy machine takes a second or two for each.
SLOWER = [{"delay_ms": 150, "text": word} for word in WORDS]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Served]:
    """A server that a test may kill."""
    with Served(tmp_path) as running:
        yield running


def begun(visitor: Visitor, word: str = "word9 ") -> None:
    """Wait until the answer is at some word."""
    expect(visitor.page.locator(".message.agent").last).to_contain_text(word)
    assert visitor.answers[-1] != TEXT


def only_lost_connections(visitor: Visitor) -> None:
    """The browser reports each request that found no server; nothing else may have gone wrong."""
    lost = ("net::ERR_", "ERR_CONNECTION", "status of 503", "status of 502")
    assert [problem for problem in visitor.problems if not any(word in problem for word in lost)] == []
    visitor.problems.clear()


def one_run(server: Served, agent_id: str) -> None:
    assert [run["state"] for run in server.get("runs", agentId=agent_id)["runs"]] == ["RUN_STATE_COMPLETED"]


def test_the_server_is_killed_in_the_middle_and_started_again(mortal: Served, visitor: Visitor) -> None:
    agent_id = mortal.agent(memoryBlocks=[{"label": "human", "value": ""}])
    visitor.open(mortal.url, agent_id)
    visitor.play([{"text": "First."}, call("memory_insert", label="human", text="x")], SLOW)
    begun(visitor)
    mortal.kill()
    expect(visitor.page.get_by_text("Connecting again…")).to_be_visible()
    mortal.start()
    visitor.settled()
    expect(visitor.page.get_by_text("Connecting again…")).to_be_hidden()
    assert visitor.answers == ["First.", TEXT]
    assert visitor.page.locator(".call").count() == 1
    only_lost_connections(visitor)
    one_run(mortal, agent_id)
    assert mortal.get(f"agents/{agent_id}/memory/human")["block"]["value"] == "x"


def test_the_server_is_killed_and_the_page_reloaded_when_it_is_back(mortal: Served, visitor: Visitor) -> None:
    agent_id = mortal.agent()
    visitor.open(mortal.url, agent_id)
    visitor.play(SLOW)
    begun(visitor)
    mortal.kill()
    mortal.start()
    visitor.page.reload()
    expect(visitor.page.locator(".message.agent")).to_have_count(1)
    visitor.settled()
    assert visitor.answers == [TEXT]
    only_lost_connections(visitor)
    one_run(mortal, agent_id)


def test_a_reload_in_the_middle(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent(memoryBlocks=[{"label": "human", "value": ""}])
    visitor.open(server.url, agent_id)
    visitor.play([{"text": "First."}, call("memory_insert", label="human", text="x")], SLOWER)
    begun(visitor)
    visitor.page.reload()
    begun(visitor, "word11 ")
    expect(visitor.page.locator(".message.person")).to_have_count(1)
    visitor.page.reload()
    begun(visitor, "word13 ")
    visitor.settled()
    assert visitor.answers == ["First.", TEXT]
    assert visitor.page.locator(".call").count() == 1
    one_run(server, agent_id)


def test_the_network_goes_and_comes_back(server: Served, visitor: Visitor) -> None:
    """A proxy on the way that cuts the stream after some events, twice, and refuses once."""
    agent_id = server.agent()
    resumed: list[str] = []

    def cut(route: Route) -> None:
        resumed.append(route.request.headers["last-event-id"])
        if len(resumed) == 1:
            route.abort("connectionreset")
        elif len(resumed) == 2:
            route.fulfill(
                status=503, json={"error": {"code": 503, "status": "UNAVAILABLE", "message": "Away.", "details": []}}
            )
        else:
            route.continue_()

    def some(route: Route) -> None:
        """Pass on the first events only."""
        body = route.fetch().text()
        kept = "\n\n".join(body.split("\n\n")[:12]) + "\n\nid: 13\nevent: text_del"
        route.fulfill(status=200, headers={"content-type": "text/event-stream", "letta-run-id": run_of(body)}, body=kept)

    visitor.page.route("**/events:stream", cut)
    visitor.page.route("**/runs:stream", some)
    visitor.open(server.url, agent_id)
    visitor.play([{"text": word} for word in WORDS])
    visitor.settled()
    assert visitor.answers == [TEXT]
    assert resumed == ["11", "11", "11"]
    only_lost_connections(visitor)
    one_run(server, agent_id)


def run_of(body: str) -> str:
    return body.partition('"runId":"')[2].partition('"')[0]


def test_a_start_whose_answer_was_lost_is_sent_again_and_is_the_same_run(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent()
    tries: list[str] = []

    def lose_first(route: Route) -> None:
        tries.append(route.request.post_data or "")
        if len(tries) == 1:
            route.fetch()
            route.abort("connectionreset")
        else:
            route.continue_()

    visitor.page.route("**/runs:stream", lose_first)
    visitor.open(server.url, agent_id)
    visitor.play(SLOW[:5])
    visitor.settled()
    assert visitor.answers == ["".join(WORDS[:5])]
    assert len(tries) == 2
    assert tries[0] == tries[1]
    only_lost_connections(visitor)
    one_run(server, agent_id)


def test_a_start_that_was_lost_with_the_page_is_sent_again_by_the_next_one(server: Served, visitor: Visitor) -> None:
    agent_id = server.agent()
    visitor.page.route("**/runs:stream", lambda route: route.abort("connectionreset"))
    visitor.open(server.url, agent_id)
    with visitor.page.expect_request("**/runs:stream"):
        visitor.play(SLOW[:5])
    visitor.page.unroute("**/runs:stream")
    visitor.page.reload()
    expect(visitor.page.locator(".message.agent")).to_have_count(1)
    visitor.settled()
    assert visitor.answers == ["".join(WORDS[:5])]
    expect(visitor.page.locator(".message.person")).to_have_count(1)
    only_lost_connections(visitor)
    one_run(server, agent_id)


def test_an_answer_goes_on_while_another_agent_is_looked_at(server: Served, visitor: Visitor) -> None:
    agent_id, other = server.agent("One"), server.agent("Other")
    visitor.open(server.url, agent_id)
    visitor.play(SLOW)
    begun(visitor)
    chosen = visitor.page.get_by_label("Agent", exact=True)
    chosen.select_option(other)
    expect(visitor.page.get_by_text("Say something")).to_be_visible()
    assert visitor.answers == []
    chosen.select_option(agent_id)
    expect(visitor.page.locator(".message.agent")).to_have_count(1)
    visitor.settled()
    assert visitor.answers == [TEXT]
    one_run(server, agent_id)
