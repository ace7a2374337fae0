"""Health probes of a whole server whose store takes no writes for a while."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from letta_grpc.app import serving
from letta_grpc.domain.errors import StoreUnavailable
from letta_grpc.ports.journal import Lease
from letta_grpc.settings import Settings

SERVICE = "letta_grpc.v1.RunService"


@pytest.mark.timeout(30)
async def test_a_server_whose_store_takes_no_writes_is_not_ready_until_it_does_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_leases: Sequence[Lease], _until: datetime) -> tuple[Lease, ...]:
        raise StoreUnavailable

    settings = Settings(listen="127.0.0.1:0", database=f"sqlite:///{tmp_path}/letta.db", lease_seconds=1, drain_seconds=0)
    async with serving(settings, {}) as server, grpc.aio.insecure_channel(server.address) as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest(service=SERVICE))
        told = [(await watching.read()).status]
        with monkeypatch.context() as refusing:
            refusing.setattr(server.in_process.leases, "_renew", refuse)
            told.append((await watching.read()).status)
        told.append((await watching.read()).status)
        watching.cancel()
    response = health_pb2.HealthCheckResponse
    assert told == [response.SERVING, response.NOT_SERVING, response.SERVING]
