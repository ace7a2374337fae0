"""The client: one object per server."""

import uuid
from types import TracebackType
from typing import Self, Unpack
from weakref import WeakSet

from letta_grpc.client import dialing
from letta_grpc.client._async.agents import Agents
from letta_grpc.client._async.blocks import Blocks
from letta_grpc.client._async.connection import Connection
from letta_grpc.client._async.conversations import Conversations
from letta_grpc.client._async.models import Models
from letta_grpc.client._async.runs import Runs
from letta_grpc.client._async.stream import AsyncRunStream
from letta_grpc.client.on_asyncio import Channel, Sleep, open_channel, sleep
from letta_grpc.client.requests import Inputs, RunArguments, run_spec
from letta_grpc.client.retry import RetryPolicy
from letta_grpc.v1 import run_service_pb2

_DEFAULT_RETRY = RetryPolicy()


class AsyncClient:
    """Speaks to one server, over one channel.

    target           host and port, or any name that grpc resolves
    api_key          sent as `authorization: Bearer` with every call
    tls              True for the system's roots, or channel credentials of your own
    channel          an open channel to use instead of `target` and `tls`; closing the client leaves it open
    timeout_seconds  how long a call may take; streams and `runs.execute` take as long as the run
    retry            how patient the client is with what can be repeated without harm
    sleep            how it waits between two tries
    """

    def __init__(
        self,
        target: str = dialing.DEFAULT_TARGET,
        *,
        api_key: str | None = None,
        tls: dialing.Tls = False,
        channel: Channel | None = None,
        timeout_seconds: float = 60.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        sleep: Sleep = sleep,
    ) -> None:
        self._owned_channel = open_channel(target, tls) if channel is None else None
        self._connection = Connection(
            channel or self._owned_channel or open_channel(target, tls),
            metadata=dialing.call_metadata(api_key),
            timeout_seconds=timeout_seconds,
            retry=retry,
            sleep=sleep,
        )
        self._streams: WeakSet[AsyncRunStream] = WeakSet()
        self.runs = Runs(self._connection)
        self.agents = Agents(self._connection)
        self.conversations = Conversations(self._connection)
        self.blocks = Blocks(self._connection)
        self.models = Models(self._connection)

    def stream(
        self,
        agent_id: str,
        messages: Inputs,
        *,
        options: run_service_pb2.StreamOptions | None = None,
        **run: Unpack[RunArguments],
    ) -> AsyncRunStream:
        """Return the stream of a new run, which starts with the first use of the stream. See RunArguments.

        Safe against broken connections from the first moment on: a start that is repeated has the same request id.
        """
        request = run_service_pb2.StreamRunRequest(
            agent_id=agent_id,
            conversation_id=run.get("conversation_id") or "",
            request_id=run.get("request_id") or str(uuid.uuid4()),
            run=run_spec(messages, run),
            options=options,
        )
        return self._stream(request)

    def attach(self, run_id: str, *, after: int = 0, options: run_service_pb2.StreamOptions | None = None) -> AsyncRunStream:
        """Return the stream of a run that there is, from behind a number on."""
        request = run_service_pb2.AttachRunRequest(run_id=run_id, after_sequence_number=after, options=options)
        return self._stream(request)

    async def close(self) -> None:
        """Close every stream and the channel. Runs go on."""
        for stream in list(self._streams):
            await stream.disconnect()
        if self._owned_channel is not None:
            await self._owned_channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _stream(self, request: run_service_pb2.StreamRunRequest | run_service_pb2.AttachRunRequest) -> AsyncRunStream:
        stream = AsyncRunStream(self._connection, request)
        self._streams.add(stream)
        return stream
