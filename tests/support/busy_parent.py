"""A process like `letta-grpc serve` that starts children while gRPC is busy; it prints how many of them crashed.

python -m tests.support.busy_parent CHILDREN
"""

# ruff: noqa: E402 - grpc reads the environment when it is imported
from letta_grpc.__main__ import settle_grpc

settle_grpc()

import asyncio
import sys

import grpc
import uvloop

from letta_grpc.v1 import run_service_pb2, run_service_pb2_grpc


async def crashed(children: int) -> int:
    server = grpc.aio.server()
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    async with grpc.aio.insecure_channel(address) as channel, asyncio.TaskGroup() as group:
        callers = [group.create_task(keep_busy(channel)) for _ in range(4)]
        codes = [await code_of_child() for _ in range(children)]
        for caller in callers:
            caller.cancel()
    await server.stop(0)
    return sum(code != 0 for code in codes)


async def keep_busy(channel: grpc.aio.Channel) -> None:
    while True:
        try:
            await run_service_pb2_grpc.RunServiceStub(channel).GetRun(run_service_pb2.GetRunRequest())
        except grpc.aio.AioRpcError:
            continue


async def code_of_child() -> int:
    process = await asyncio.create_subprocess_exec("true", start_new_session=True)
    return await process.wait()


if __name__ == "__main__":
    print(uvloop.run(crashed(int(sys.argv[1]))))  # noqa: T201 - what the test reads
