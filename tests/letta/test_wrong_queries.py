"""Whatever stands in a query or for a time, the face refuses it by name: it never breaks."""

import pytest

from tests.support.letta import Site

NO_NUMBERS = ["²", "³", "٣", "①", "9" * 5000, "0", "-1", "+1", "1_0", " 1", "1e3", "x"]
LISTS = ["agents", "blocks", "tools", "runs", "steps", "tags", "conversations"]
AGENT = "agent-00000000-0000-4000-8000-000000000000"
# Years 0 and 10000, once they are told in UTC.
BEYOND_TIME = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
NO_TIMES = [*BEYOND_TIME, "2026-13-45", "x", "²"]


@pytest.mark.parametrize("number", NO_NUMBERS, ids=lambda text: ascii(text[:9]))
@pytest.mark.parametrize("path", LISTS)
def test_a_limit_that_is_no_number_is_told(site: Site, path: str, number: str) -> None:
    answer = site.http.get(f"/v1/{path}/", params={"limit": number, "agent_id": AGENT})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["query", "limit"]


@pytest.mark.parametrize("time", NO_TIMES)
@pytest.mark.parametrize("name", ["start_date", "end_date"])
def test_messages_are_searched_between_times_that_there_are(site: Site, name: str, time: str) -> None:
    answer = site.post("/v1/messages/search", {"agent_id": site.agent(), "query": "x", name: time})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", name]


@pytest.mark.parametrize("time", NO_TIMES)
def test_steps_and_notes_are_listed_between_times_that_there_are(site: Site, time: str) -> None:
    agent_id = site.agent()
    searched = f"/v1/agents/{agent_id}/archival-memory/search?query=x"
    for path, names in (("/v1/steps/", ("start_date", "end_date")), (searched, ("start_datetime", "end_datetime"))):
        for name in names:
            answer = site.http.get(path, params={"query": "x", name: time})
            assert answer.status_code == 422, answer.text
            assert answer.json()["detail"][0]["loc"] == ["query", name]


@pytest.mark.parametrize("time", BEYOND_TIME)
def test_a_file_holds_times_that_there_are(site: Site, time: str) -> None:
    message = {"role": "user", "content": "x", "created_at": time}
    agent = {"name": "a", "model": "scripted/echo", "messages": [{"role": "system", "content": "s"}, message]}
    answer = site.post("/v1/agents/import", {"file": {"agents": [agent]}})
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", "agents", "0", "messages", "1", "created_at"]


CONVERSATION = "conv-00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("verb", "path", "body", "loc"),
    [
        ("GET", "/v1/agents/x", None, ["path", "agent_id"]),
        ("GET", "/v1/conversations/x", None, ["path", "conversation_id"]),
        ("GET", "/v1/conversations/agent-x/messages", None, ["path", "conversation_id"]),
        ("GET", "/v1/conversations/default/messages", None, ["query", "agent_id"]),
        ("GET", "/v1/conversations/", None, ["query", "agent_id"]),
        ("GET", "/v1/conversations/?agent_id=x", None, ["query", "agent_id"]),
        ("POST", "/v1/conversations/?agent_id=x", {}, ["query", "agent_id"]),
        ("POST", "/v1/conversations/", {"agent_id": "x"}, ["body", "agent_id"]),
        ("POST", "/v1/conversations/default/messages", {"input": "x"}, ["body", "agent_id"]),
        ("POST", f"/v1/conversations/{CONVERSATION}/stream", {"run_id": "x"}, ["body", "run_id"]),
        ("GET", "/v1/blocks/?order=x", None, ["query", "order"]),
        ("GET", "/v1/blocks/?connected_to_agents_count_gt=x", None, ["query", "connected_to_agents_count_gt"]),
        ("GET", "/v1/messages/?conversation_id=x", None, ["query", "conversation_id"]),
        ("GET", "/v1/steps/?run_id=x", None, ["query", "run_id"]),
        ("DELETE", f"/v1/agents/{AGENT}/archival-memory/x", None, ["path", "memory_id"]),
        ("POST", "/v1/passages/search", {"agent_id": "x"}, ["body", "agent_id"]),
        ("POST", "/v1/agents/", {"block_ids": ["x"]}, ["body", "block_ids"]),
        ("POST", f"/v1/agents/{AGENT}/messages/cancel", {"run_ids": ["x"]}, ["body", "run_ids"]),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(site: Site, verb: str, path: str, body: object, loc: list[str]) -> None:
    answer = site.http.request(verb, path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == loc
