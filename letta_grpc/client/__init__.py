"""The Python SDK.

    from letta_grpc.client import AsyncClient

    async with AsyncClient("127.0.0.1:50051") as client:
        agent = await client.agents.create(name="ada", model="openai/gpt-4o-mini", human="Likes short answers.")
        async with client.stream(agent.id, "Hello!") as stream:
            async for event in stream:
                print(event.text_delta.text, end="", flush=True)

    # A tool that runs here, whenever the model calls it, until the turn ends.
    print(await client.turn(agent.id, "What's the weather in Rome?", tools=[weather]).text())

    # A tool of the server's that waits for a person.
    async with client.stream(agent.id, "Send the letter.") as stream:
        run = await stream.final()
    answers = {action.tool_call_id: approve() for action in run.pending_actions}
    print(await client.answer(run, answers).text())

    # Several agents on one stream; `client.converse()` starts, answers and follows as the talk goes.
    async for lane, event in client.stream_many([run_start(ada.id, "Hello!"), run_start(bob.id, "Hello!")]):
        print(lane.agent_id, event.text_delta.text)

`Client` is the same without `async` and `await`, for scripts, threads and notebooks: `%load_ext letta_grpc.client` there.
"""

from letta_grpc.client._async.client import AsyncClient
from letta_grpc.client._async.dialogue import AsyncDialogue
from letta_grpc.client._async.several import AsyncRunStreams
from letta_grpc.client._async.stream import AsyncRunStream
from letta_grpc.client._async.turn import AsyncTurn
from letta_grpc.client._sync.client import Client
from letta_grpc.client._sync.dialogue import Dialogue
from letta_grpc.client._sync.several import RunStreams
from letta_grpc.client._sync.stream import RunStream
from letta_grpc.client._sync.turn import Turn
from letta_grpc.client.accumulator import (
    Accumulator,
    ToolOutput,
    text_of,
)
from letta_grpc.client.answers import (
    Answer,
    Answers,
    answer_messages,
    approve,
    deny,
    tool_return,
)
from letta_grpc.client.displays import load_ipython_extension
from letta_grpc.client.errors import (
    AgentNotFound,
    AlreadyExists,
    ApprovalAlreadyResolved,
    ApprovalExpired,
    ApprovalPending,
    BlockNotFound,
    ConcurrentChange,
    Conflict,
    ConversationBusy,
    ConversationNotFound,
    CursorAhead,
    DeadlineExceeded,
    EmbeddingsFailed,
    EventsExpired,
    Exhausted,
    FailedPrecondition,
    InvalidRequest,
    LettaError,
    McpServerFailed,
    McpServerNotFound,
    MessageTooLarge,
    ModelUnknown,
    NameTaken,
    NotFound,
    OutOfRange,
    PassageNotFound,
    PermissionDenied,
    QueueFull,
    RequestIdReused,
    ResourceInUse,
    RunFailed,
    RunNotFound,
    ServerError,
    ServerUnavailable,
    StepNotFound,
    StreamBroken,
    StreamClosed,
    ToolNotFound,
    ToolSandboxUnavailable,
    ToolSourceInvalid,
    TooManyStreams,
    TurnExhausted,
    Unauthenticated,
    UpstreamFailed,
)
from letta_grpc.client.functions import client_tool
from letta_grpc.client.lanes import Lane
from letta_grpc.client.pictures import image, user
from letta_grpc.client.requests import RunArguments, run_start
from letta_grpc.client.retry import RetryPolicy
from letta_grpc.client.tool_requests import (
    ToolArguments,
    python_source,
)
from letta_grpc.v1.runs_pb2 import PendingAction, Run

__all__ = [
    "Accumulator",
    "AgentNotFound",
    "AlreadyExists",
    "Answer",
    "Answers",
    "ApprovalAlreadyResolved",
    "ApprovalExpired",
    "ApprovalPending",
    "AsyncClient",
    "AsyncDialogue",
    "AsyncRunStream",
    "AsyncRunStreams",
    "AsyncTurn",
    "BlockNotFound",
    "Client",
    "ConcurrentChange",
    "Conflict",
    "ConversationBusy",
    "ConversationNotFound",
    "CursorAhead",
    "DeadlineExceeded",
    "Dialogue",
    "EmbeddingsFailed",
    "EventsExpired",
    "Exhausted",
    "FailedPrecondition",
    "InvalidRequest",
    "Lane",
    "LettaError",
    "McpServerFailed",
    "McpServerNotFound",
    "MessageTooLarge",
    "ModelUnknown",
    "NameTaken",
    "NotFound",
    "OutOfRange",
    "PassageNotFound",
    "PendingAction",
    "PermissionDenied",
    "QueueFull",
    "RequestIdReused",
    "ResourceInUse",
    "RetryPolicy",
    "Run",
    "RunArguments",
    "RunFailed",
    "RunNotFound",
    "RunStream",
    "RunStreams",
    "ServerError",
    "ServerUnavailable",
    "StepNotFound",
    "StreamBroken",
    "StreamClosed",
    "TooManyStreams",
    "ToolArguments",
    "ToolNotFound",
    "ToolOutput",
    "ToolSandboxUnavailable",
    "ToolSourceInvalid",
    "Turn",
    "TurnExhausted",
    "Unauthenticated",
    "UpstreamFailed",
    "answer_messages",
    "approve",
    "client_tool",
    "deny",
    "image",
    "load_ipython_extension",
    "python_source",
    "run_start",
    "text_of",
    "tool_return",
    "user",
]
