"""A list is what its filters say, or it says that it cannot be."""

from collections.abc import Iterator
from typing import Any

import pytest
from letta_client import Letta

from tests.support.letta import Site

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
