"""A gateway that other machines reach serves nothing of a server that trusts its own machine."""

import asyncio
import socket
from pathlib import Path

import httpx2
import pytest

from letta_grpc.gateway import exposure
from letta_grpc.gateway.exposure import OpenServerError
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.standalone import standing_alone
from letta_grpc.transport.server import ServerOptions
from tests.support.engine import engine
from tests.support.gateways import error_of
from tests.support.server_process import letta_grpc, serving_process
from tests.support.wires import house_calls, serving

ANYWHERE = "127.0.0.1:0"
OPTIONS = GatewayOptions(any_host=True)
KEY = {"authorization": "Bearer a-key"}


async def status_at(url: str, headers: dict[str, str] | None = None) -> int:
    async with httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
        return (await client.get("/api/v1/agents", headers=headers)).status_code


async def test_in_front_of_an_open_server_it_does_not_start() -> None:
    async with engine() as house, serving(house_calls(house)) as (_, address):
        with pytest.raises(OpenServerError, match="LETTA_GRPC_API_KEYS"):
            async with standing_alone(address, ANYWHERE, OPTIONS, only_behind_keys=True):
                pass


async def test_in_front_of_a_server_with_keys_it_passes_everything_on() -> None:
    async with (
        engine() as house,
        serving(house_calls(house, api_keys=("a-key",))) as (_, address),
        standing_alone(address, ANYWHERE, OPTIONS, only_behind_keys=True) as url,
    ):
        assert await status_at(url) == 401
        assert await status_at(url, KEY) == 200


async def test_a_server_that_comes_later_or_changes_its_mind_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = "{}:{}".format(*listener.getsockname())
    there = ServerOptions(listen=(address,))
    monkeypatch.setattr(exposure, "_GOOD_FOR_SECONDS", 0.0)
    async with engine() as house, standing_alone(address, ANYWHERE, OPTIONS, only_behind_keys=True) as url:
        assert await status_at(url, KEY) == 503
        async with serving(house_calls(house, api_keys=("a-key",)), there):
            assert await eventually(url, 200) == 200
        async with (
            serving(house_calls(house), there),
            httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10) as client,
        ):
            assert await eventually(url, 403) == 403
            assert error_of(await client.get("/api/v1/agents"))["message"] == exposure.OPEN


async def eventually(url: str, status: int) -> int:
    """The status, once the gateway has found the server: it dials it every second."""
    async with asyncio.timeout(20):
        while (found := await status_at(url, KEY)) not in {status, 403}:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    return found


def test_the_command_says_what_to_do(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (address, _):
        refused = letta_grpc("gateway", "--target", address, "--http", "0.0.0.0:0")
    assert refused.returncode == 5
    assert "set LETTA_GRPC_API_KEYS at the server" in refused.stderr
    assert refused.stdout == ""
