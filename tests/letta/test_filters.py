"""A list is what its filters say, or it says that it cannot be."""

from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import Letta

from tests.support.letta import Site, script, user

Client = Any


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[Client]:
    with Letta(base_url=site.url, max_retries=0) as made:
        yield made


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
