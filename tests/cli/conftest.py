from collections.abc import Iterator

import pytest

from tests.support.commands import Invoke, commands_of
from tests.support.server_process import serving_process


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_process(tmp_path_factory.mktemp("cli"), "--mcp-stdio", "true") as (address, _):
        yield address


@pytest.fixture
def invoke(address: str) -> Invoke:
    return commands_of(address)
