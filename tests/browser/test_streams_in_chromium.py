"""The native routes in a browser, without the page's code: `EventSource` and `fetch`."""

import json
from typing import Any

from playwright.sync_api import Page, Route

from tests.requirements.registry import requirement
from tests.support.browsers import Served, Visitor

WORDS = [f"word{number} " for number in range(20)]
# Takes events as they come; that it comes back after a cut is the browser's own doing.
FOLLOW = """
(url) => new Promise((resolve, reject) => {
  const ids = [], texts = [], states = [];
  const source = new EventSource(url);
  const take = (event) => {
    ids.push(event.lastEventId);
    if (event.type === "text_delta") texts.push(JSON.parse(event.data).textDelta.text);
  };
  for (const kind of ["run_started", "step_started", "message_started", "text_delta", "message_completed", "step_completed",
                      "run_finished"]) source.addEventListener(kind, take);
  source.onerror = () => {
    states.push(source.readyState);
    if (source.readyState === EventSource.CLOSED) resolve({ ids, texts, states });
  };
  setTimeout(() => reject(new Error(`unfinished: ${ids}`)), 20000);
})
"""
FETCH = """
async ([url, body]) => {
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  const response = await fetch(url, { method: "POST", headers, body });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const pieces = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return { pieces, runId: response.headers.get("letta-run-id") };
    pieces.push(value);
  }
}
"""


def same_origin(server: Served, visitor: Visitor) -> Page:
    """A page of the server's own that does nothing by itself."""
    visitor.page.goto(f"{server.url}/docs")
    return visitor.page


def a_run(server: Served, *script: Any) -> str:  # noqa: ANN401 - JSON
    run = {"messages": [{"user": {"text": json.dumps([script])}}]}
    run_id: str = server.post(f"agents/{server.agent()}/runs", run=run)["run"]["id"]
    return run_id


def test_an_event_source_gets_every_event_and_is_stopped_by_204(server: Served, visitor: Visitor) -> None:
    run_id = a_run(server, *({"delay_ms": 20, "text": word} for word in WORDS))
    followed = same_origin(server, visitor).evaluate(FOLLOW, f"/api/v1/runs/{run_id}/events:stream")
    assert followed["texts"] == WORDS
    assert followed["ids"] == [str(number) for number in range(1, len(followed["ids"]) + 1)]
    # The stream ends, the browser comes back with the last id (0: connecting), and is told to stay away (2: closed).
    assert followed["states"] == [0, 2]


def test_an_event_source_that_was_cut_goes_on_by_its_last_event_id(server: Served, visitor: Visitor) -> None:
    run_id = a_run(server, *({"text": word} for word in WORDS))
    page = same_origin(server, visitor)
    asked: list[str] = []

    def first_cut(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 1:
            route.continue_()
            return
        body = route.fetch().text()
        head = "\n\n".join(body.split("\n\n")[:6]).replace("retry: 1000", "retry: 50")
        headers = {"content-type": "text/event-stream"}
        route.fulfill(status=200, headers=headers, body=f"{head}\n\nid: 6\nevent: text_delta\ndata: {{")

    page.route("**/events:stream", first_cut)
    followed = page.evaluate(FOLLOW, f"/api/v1/runs/{run_id}/events:stream")
    assert followed["texts"] == WORDS
    assert followed["ids"] == [str(number) for number in range(1, len(followed["ids"]) + 1)]
    # The one that was cut, the one that went on, and the 204.
    assert len(asked) == 3


@requirement("tutorial_reader")
def test_fetch_gets_the_answer_in_pieces_as_it_is_written(server: Served, visitor: Visitor) -> None:
    text = json.dumps([[{"delay_ms": 30, "text": word} for word in WORDS]])
    body = json.dumps({"run": {"messages": [{"user": {"text": text}}]}})
    url = f"/api/v1/agents/{server.agent()}/runs:stream"
    answer = same_origin(server, visitor).evaluate(FETCH, [url, body])
    assert answer["runId"].startswith("run-")
    assert len(answer["pieces"]) > len(WORDS) / 2
    lines = [line[6:] for line in "".join(answer["pieces"]).split("\n") if line.startswith("data: ")]
    assert [event["textDelta"]["text"] for event in map(json.loads, lines) if "textDelta" in event] == WORDS
