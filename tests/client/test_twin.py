from pathlib import Path

import letta_grpc.client
from letta_grpc.client import _unasync

PUBLIC = [
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


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.glob("*.py")}


def test_the_twin_is_what_the_original_makes(tmp_path: Path) -> None:
    _unasync.write_twin(tmp_path)
    assert contents(tmp_path) == contents(_unasync.HERE / "_sync")


def test_the_public_names_are_these() -> None:
    assert letta_grpc.client.__all__ == PUBLIC
    assert all(hasattr(letta_grpc.client, name) for name in PUBLIC)
