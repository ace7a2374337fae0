"""What an operator of a gateway is told of a server that does not answer."""

import logging
import socket

import grpc
import httpx2
import pytest

from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.outages import Outages
from letta_grpc.gateway.standalone import standing_alone

SAID = "the server behind this gateway cannot be reached: "


def failed(text: str) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), text, "")


@pytest.mark.parametrize("only_behind_keys", [False, True])
async def test_why_a_server_is_away_is_logged_and_not_told_to_callers(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, *, only_behind_keys: bool
) -> None:
    for user in ("failures", "exposure"):
        monkeypatch.setattr(f"letta_grpc.gateway.{user}.outages", Outages())
    with socket.create_server(("127.0.0.1", 0)) as free:
        away = "{}:{}".format(*free.getsockname())
    serving = standing_alone(away, "127.0.0.1:0", GatewayOptions(any_host=True), only_behind_keys=only_behind_keys)
    async with serving as url, httpx2.AsyncClient(base_url=url, trust_env=False, timeout=10) as client:
        answer = await client.get("/api/v1/agents")
    assert answer.status_code == 503
    assert "refused" not in answer.text
    assert [record.levelno for record in caplog.records if SAID in record.message and "refused" in record.message] == [
        logging.WARNING
    ]


def test_it_is_told_once_a_minute_however_many_calls_fail(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    outages = Outages(lambda: now)
    for now in (0.0, 1.0, 59.0, 60.0, 61.0):
        outages.tell(failed(f"at {now:g}"))
    assert [record.message for record in caplog.records] == [f"{SAID}at 0", f"{SAID}at 60"]
