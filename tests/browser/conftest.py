"""Chromium for each module, a server for each module, a tab for each test."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browsers import Served, Visitor, chromium, visiting


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """A tab in which nothing may go wrong: no error on the console, no exception, no dialog."""
    with visiting(browser.new_context(viewport={"width": 1200, "height": 800})) as one:
        yield one
        assert one.problems == []
        assert one.dialogs == []
