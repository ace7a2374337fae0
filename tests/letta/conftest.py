"""One server for each file of tests, and the SDK in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from letta_client import Letta

from tests.support.letta import Client, Site, serving_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of its own process."""
    folder: Path = tmp_path_factory.mktemp("letta")
    with serving_site(folder) as served:
        yield served


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[Client]:
    with Letta(base_url=site.url, max_retries=0) as made:
        yield made


@pytest.fixture
def agent_id(client: Client) -> str:
    """A new agent without tools."""
    made: str = client.agents.create(model="scripted/echo", include_base_tools=False).id
    return made
