"""One server for each file of tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.letta import Site, serving_site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of its own process."""
    folder: Path = tmp_path_factory.mktemp("letta")
    with serving_site(folder) as served:
        yield served
