from collections.abc import Iterator

import pytest

from tests.support.server_process import serving_process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_process(tmp_path_factory.mktemp("server")) as (target, _):
        yield target
