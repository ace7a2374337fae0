import pytest

from letta_grpc.client import AsyncClient, Client, InvalidRequest
from tests.support.scripted_server import RUN_ID, ScriptedRuns, serving


async def test_a_key_is_sent_without_the_line_end_of_its_file() -> None:
    runs = ScriptedRuns()
    async with serving(runs) as target, AsyncClient(target, api_key="secret\n") as client:
        await client.runs.get(RUN_ID)
    assert [one["authorization"] for one in runs.metadata] == ["Bearer secret"]


@pytest.mark.parametrize("kind", [AsyncClient, Client])
@pytest.mark.parametrize("key", ["new\nline", "schlüssel"])
def test_a_key_that_no_header_takes_is_refused_at_once_and_not_told(kind: type[AsyncClient | Client], key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        kind("127.0.0.1:1", api_key=key)
    assert key not in repr(refused.value)
