"""A list is what its filters say, or it says that it cannot be."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import letta_client
import pytest
from starlette.requests import Request

from letta_grpc.gateway.faces.letta.operations import Ask
from letta_grpc.gateway.faces.letta.pages import listed
from letta_grpc.gateway.faces.letta.recency import by_last_run
from letta_grpc.v1.agents_pb2 import Agent
from letta_grpc.v1.run_service_pb2 import ListRunsRequest, ListRunsResponse
from letta_grpc.v1.runs_pb2 import Run
from tests.support.letta import Client, Site, script, user


def test_a_comma_belongs_to_the_value_that_it_stands_in(client: Client) -> None:
    def agent(name: str, *tags: str) -> str:
        made: str = client.agents.create(name=name, model="scripted/echo", tags=list(tags), include_base_tools=False).id
        return made

    one, other = agent("one", "Smith, John", "a,b"), agent("other", "a", "b")
    for tags, found in ((["a,b"], [one]), (["Smith, John"], [one]), (["a"], [other]), (["a,b", "a"], [other, one])):
        assert [each.id for each in client.agents.list(tags=tags)] == found
    client.agents.passages.create(one, text="A note.", tags=["p,q"])
    assert client.agents.passages.search(one, query="note", tags=["p,q"]).count == 1
    assert client.agents.passages.search(one, query="note", tags=["p"]).count == 0


def test_a_run_whose_answer_was_cut_has_failed(client: Client, site: Site) -> None:
    agent_id = site.agent()
    turns = {"cut": [{"text": "x"}, {"finish": "length"}], "whole": [{"text": "x"}], "broken": [{"error": "MODEL_TIMEOUT"}]}
    made = {}
    for name, turn in turns.items():
        made[name] = client.agents.messages.create_async(agent_id, messages=user(script(turn))).id
        site.stream(f"/v1/runs/{made[name]}/stream", {})

    def found(**query: Any) -> list[str]:  # noqa: ANN401 - of any kind
        runs = client.runs.list(agent_id=agent_id, order="asc", **query)
        assert all(run.status in query.get("statuses", [run.status]) for run in runs)
        return [run.id for run in runs]

    cut = client.runs.retrieve(made["cut"])
    assert (cut.status, cut.stop_reason) == ("failed", "max_tokens_exceeded")
    assert found(statuses=["failed"]) == [made["cut"], made["broken"]]
    assert found(statuses=["failed"], limit=1) == [made["cut"], made["broken"]]
    assert found(statuses=["failed"], stop_reason="max_tokens_exceeded") == [made["cut"]]
    assert found(statuses=["completed"]) == [made["whole"]]
    assert found(statuses=["completed", "failed"]) == list(made.values())
    assert found(statuses=["completed"], stop_reason="max_tokens_exceeded") == found(statuses=["expired"]) == []


def test_blocks_are_found_by_how_many_agents_have_them(client: Client) -> None:
    blocks = [client.blocks.create(label=f"counted_{n}", value=str(n)).id for n in range(3)]
    for had in ([1, 2], [2]):
        client.agents.create(model="scripted/echo", block_ids=[blocks[n] for n in had], include_base_tools=False)

    def found(**query: Any) -> list[int]:  # noqa: ANN401 - of any kind
        return [blocks.index(block.id) for block in client.blocks.list(label_search="counted", order="asc", **query)]

    assert found() == [0, 1, 2]
    assert found(connected_to_agents_count_eq=[0]) == [0]
    assert found(connected_to_agents_count_eq=[0, 2]) == [0, 2]
    assert found(connected_to_agents_count_gt=0, limit=1) == [1, 2]
    assert found(connected_to_agents_count_lt=2, connected_to_agents_count_gt=0) == [1]
    assert found(value_search="1", connected_to_agents_count_eq=[1]) == [1]


@pytest.mark.parametrize(
    "query",
    [
        {"tags": ["a"]},
        {"name": "x"},
        {"templates_only": True},
        {"identity_id": "identity-1"},
        {"identifier_keys": ["key"]},
    ],
)
def test_nobody_finds_blocks_by_what_none_has(client: Client, query: Any) -> None:  # noqa: ANN401 - of any kind
    client.blocks.create(label="some", value="x")
    assert list(client.blocks.list(**query)) == []
    assert list(client.blocks.list(templates_only=False, label="some"))


@pytest.mark.parametrize("wrong", [{"order": "bogus"}, {"order_by": "size"}])
def test_the_parts_of_a_run_are_in_no_other_order(client: Client, site: Site, wrong: Any) -> None:  # noqa: ANN401 - of any kind
    run_id = client.agents.messages.create(site.agent("scripted/echo"), input="hi").messages[0].run_id
    step_id = next(iter(client.runs.steps.list(run_id))).id
    for path in (f"runs/{run_id}/messages", f"runs/{run_id}/steps", f"steps/{step_id}/messages"):
        assert site.http.get(f"/v1/{path}", params=wrong).status_code in (422, 501)
        assert site.http.get(f"/v1/{path}", params={"order": "desc", "order_by": "created_at"}).is_success


@pytest.mark.parametrize("kind", ["gt", "lt", "eq"])
def test_what_is_no_number_counts_no_agents(site: Site, kind: str) -> None:
    for text in ("x", "-1", "1.5", "²", "9" * 5000):
        assert site.http.get("/v1/blocks/", params={f"connected_to_agents_count_{kind}": text}).status_code == 422


def test_notes_are_searched_between_dates(client: Client) -> None:
    agent_id = client.agents.create(model="scripted/echo", include_base_tools=False).id
    client.agents.passages.create(agent_id, text="A note.")

    def found(**query: Any) -> int:  # noqa: ANN401 - of any kind
        return len(client.passages.search(agent_id=agent_id, query="note", **query))

    assert found(start_date="2020-01-01", end_date="2999-01-01T00:00:00Z") == 1
    assert found(end_date="2020-01-01") == found(start_date="2999-01-01") == found(archive_id="archive-1") == 0
    for wrong in ("soon", "2026-13-45"):
        with pytest.raises(letta_client.UnprocessableEntityError, match="start_date"):
            found(start_date=wrong)
        with pytest.raises(letta_client.UnprocessableEntityError, match="created_at"):
            client.agents.passages.create(agent_id, text="Another.", created_at=wrong)
    assert len(client.agents.passages.list(agent_id)) == 1


def test_nobody_finds_agents_by_what_none_has(client: Client) -> None:
    client.agents.create(model="scripted/echo", include_base_tools=False)
    for query in ({"created_by_id": "user-1"}, {"identifier_keys": ["key"]}, {"template_id": "template-1"}):
        assert list(client.agents.list(**query)) == []


def test_a_conversation_says_when_it_was_last_spoken_in(client: Client) -> None:
    agent_id = client.agents.create(model="scripted/echo", include_base_tools=False).id
    conversation = client.conversations.create(agent_id=agent_id)
    assert client.conversations.retrieve(conversation.id).last_message_at is None
    list(client.conversations.messages.create(conversation.id, messages=user("hi")))
    told = client.conversations.retrieve(conversation.id)
    assert told.last_message_at > told.created_at
    assert len(told.in_context_message_ids) == 2


@pytest.mark.parametrize("place", ["", "&before=x", "&order=asc"])
async def test_what_few_pass_is_not_asked_for_one_by_one(place: str) -> None:
    scope = {"type": "http", "method": "GET", "headers": [], "query_string": f"limit=1{place}".encode()}
    services: Any = None
    ask = Ask(Request(scope), services, {}, ())
    asked: list[int] = []

    async def fetch(request: ListRunsRequest) -> tuple[Sequence[int], str]:
        start, end = sum(asked), sum(asked) + request.page_size
        asked.append(request.page_size)
        return range(start, end), "more" if end < 2_000 else ""

    found = await listed(ask, ListRunsRequest(), fetch, lambda each: [each] if each >= 1_800 else [])
    assert found == [1_800]
    assert len(asked) < 30


async def test_a_long_history_is_not_read_for_what_was_not_at_work_in_it() -> None:
    history = [Run(agent_id="agent-old"), Run(agent_id="agent-older"), *[Run(agent_id="agent-busy")] * 20_000]
    for second, run in zip((2, 1), history, strict=False):
        run.create_time.FromSeconds(second)
    asked: list[ListRunsRequest] = []

    async def list_runs(request: ListRunsRequest, *, metadata: Any) -> ListRunsResponse:  # noqa: ANN401 - of no matter here
        assert not metadata
        asked.append(request)
        runs = [run for run in reversed(history) if request.agent_id in ("", run.agent_id)]
        end = int(request.page_token or 0) + request.page_size
        return ListRunsResponse(runs=runs[end - request.page_size : end], next_page_token=str(end) if end < len(runs) else "")

    services: Any = SimpleNamespace(runs=SimpleNamespace(ListRuns=list_runs))
    ask = Ask(Request({"type": "http"}), services, {}, ())
    agents = [Agent(id=f"agent-{name}") for name in ("busy", "old", "idle", "older")]
    ordered = await by_last_run(ask, agents, "agent_id")
    assert [agent.id for agent in ordered] == ["agent-idle", "agent-older", "agent-old", "agent-busy"]
    assert len(asked) == 1 + 3
