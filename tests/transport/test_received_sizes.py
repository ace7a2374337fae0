"""How much of a request is received: whoever has no key is received too."""

import grpc
import pytest

from letta_grpc.transport.calls import Limits
from letta_grpc.transport.methods import Call
from letta_grpc.transport.server import ServerOptions, channel_arguments
from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1.run_service_pb2_grpc import RunServiceStub
from tests.support.wires import failure_of, info_of, lone_calls, serving

LIMIT = 2**16
pytestmark = pytest.mark.timeout(20)
ways = pytest.mark.parametrize("packed", [grpc.Compression.NoCompression, grpc.Compression.Gzip], ids=["plain", "gzip"])


async def refusal_of(size: int, packed: grpc.Compression) -> grpc.aio.AioRpcError:
    async def get(_request: pb.GetRunRequest, _call: Call) -> pb.GetRunResponse:
        return pb.GetRunResponse()

    async with (
        serving(lone_calls(unary=get, limits=Limits(max_request_bytes=LIMIT))) as (_, address),
        grpc.aio.insecure_channel(address, compression=packed) as channel,
    ):
        return await failure_of(RunServiceStub(channel).GetRun(pb.GetRunRequest(run_id="x" * size)))


@ways
async def test_a_request_that_is_a_little_too_large_is_told_its_size_by_us(packed: grpc.Compression) -> None:
    error = await refusal_of(LIMIT + LIMIT // 2, packed)
    assert info_of(error)[:2] == (grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE")


@ways
async def test_a_request_of_more_than_twice_the_limit_is_not_received_and_not_unpacked(packed: grpc.Compression) -> None:
    error = await refusal_of(3 * LIMIT, packed)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger than max" in str(error.details())
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata() or ())


@pytest.mark.parametrize(("limit", "received"), [(4 * 2**20, 8 * 2**20), (2**30, 2**31 - 1)])
def test_what_is_received_is_twice_the_limit_and_no_more_than_grpc_can_count(limit: int, received: int) -> None:
    arguments = dict(channel_arguments(ServerOptions(), Limits(max_request_bytes=limit)))
    assert arguments["grpc.max_receive_message_length"] == received
