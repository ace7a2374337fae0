"""The way of a gateway that stands alone to its server."""

import asyncio
from typing import Never

import grpc
import pytest

from letta_grpc.gateway.remote import open_channel
from letta_grpc.v1 import run_service_pb2, run_service_pb2_grpc
from tests.support.refusing import refusing


async def keep_asking(channel: grpc.aio.Channel) -> Never:
    runs = run_service_pb2_grpc.RunServiceStub(channel)
    while True:
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await runs.GetRun(run_service_pb2.GetRunRequest())
        # Not to synchronise: clients ask now and then.
        await asyncio.sleep(0.05)


async def test_a_server_that_is_away_for_long_is_dialled_every_second() -> None:
    async with refusing() as (dials, target), open_channel(target, tls=False) as channel:
        # By then grpc's back-off has had the time to grow.
        assert await dials.longest_wait_of(keep_asking(channel), 8) < 2
