"""The Python SDK.

    from letta_grpc.client import AsyncClient

    async with AsyncClient("127.0.0.1:50051") as client:
        agent = await client.agents.create(name="ada", model="openai/gpt-4o-mini", human="Likes short answers.")
        async with client.stream(agent.id, "Hello!") as stream:
            async for event in stream:
                print(event.text_delta.text, end="", flush=True)

`Client` is the same without `async` and `await`, for scripts, threads and notebooks.
"""

from letta_grpc.client._async.client import AsyncClient
from letta_grpc.client._async.stream import AsyncRunStream
from letta_grpc.client._sync.client import Client
from letta_grpc.client._sync.stream import RunStream
from letta_grpc.client.accumulator import Accumulator, text_of
from letta_grpc.client.errors import (
    AgentNotFound,
    AlreadyExists,
    BlockNotFound,
    ConcurrentChange,
    Conflict,
    ConversationBusy,
    ConversationNotFound,
    CursorAhead,
    DeadlineExceeded,
    EventsExpired,
    Exhausted,
    FailedPrecondition,
    InvalidRequest,
    LettaError,
    MessageTooLarge,
    ModelUnknown,
    NameTaken,
    NotFound,
    OutOfRange,
    PermissionDenied,
    QueueFull,
    RequestIdReused,
    ResourceInUse,
    RunFailed,
    RunNotFound,
    ServerError,
    ServerUnavailable,
    StreamBroken,
    StreamClosed,
    TooManyStreams,
    Unauthenticated,
)
from letta_grpc.client.requests import RunArguments
from letta_grpc.client.retry import RetryPolicy

__all__ = [
    "Accumulator",
    "AgentNotFound",
    "AlreadyExists",
    "AsyncClient",
    "AsyncRunStream",
    "BlockNotFound",
    "Client",
    "ConcurrentChange",
    "Conflict",
    "ConversationBusy",
    "ConversationNotFound",
    "CursorAhead",
    "DeadlineExceeded",
    "EventsExpired",
    "Exhausted",
    "FailedPrecondition",
    "InvalidRequest",
    "LettaError",
    "MessageTooLarge",
    "ModelUnknown",
    "NameTaken",
    "NotFound",
    "OutOfRange",
    "PermissionDenied",
    "QueueFull",
    "RequestIdReused",
    "ResourceInUse",
    "RetryPolicy",
    "RunArguments",
    "RunFailed",
    "RunNotFound",
    "RunStream",
    "ServerError",
    "ServerUnavailable",
    "StreamBroken",
    "StreamClosed",
    "TooManyStreams",
    "Unauthenticated",
    "text_of",
]
