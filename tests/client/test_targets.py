import pytest

from letta_grpc.client import AsyncClient, Client
from letta_grpc.client.dialing import checked_target


@pytest.mark.parametrize("kind", [AsyncClient, Client])
@pytest.mark.parametrize(
    "target", ["http://127.0.0.1:50051", "https://127.0.0.1:50051/v1", "GRPC://127.0.0.1:50051", "http://"]
)
def test_a_url_is_refused_at_once_and_not_dialled_for_half_a_minute(kind: type[AsyncClient | Client], target: str) -> None:
    with pytest.raises(ValueError, match=r"it must be host:port, as '127\.0\.0\.1:50051'"):
        kind(target)


@pytest.mark.parametrize(
    "target", ["127.0.0.1:1", "[::1]:1", "unix:/run/letta.sock", "unix:///run/letta.sock", "dns:///a.example:1"]
)
def test_every_name_that_grpc_resolves_is_taken(target: str) -> None:
    assert checked_target(target) == target
