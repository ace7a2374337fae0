"""What was said in a call that passed through: read from its bytes when it is over, and kept by the caller's agent."""

import asyncio
import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
import orjson

from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.metadata import Metadata
from letta_grpc.gateway.upstream import settled
from letta_grpc.v1 import agent_service_pb2, agent_service_pb2_grpc

logger = logging.getLogger(__name__)

# A longer answer is passed through like any other, and not kept.
_MAX_BYTES = 16 * 1024 * 1024
_SECONDS = 10
_AT_ONCE = 32
# What Claude Code adds to a person's words.
_NOT_SAID = "<system-reminder>"
# A message has one id: however often its turn is captured, it is kept once.
_NAMESPACE = uuid.UUID("0b1d6a55-6f0d-5c55-8a56-0d6a3c0f7a55")


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What was said."""

    message_id: str
    model: str
    user_texts: tuple[str, ...]
    assistant_text: str


class Gathered:
    """The bytes of one call."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._pieces: list[bytes] | None = None
        self._size = 0
        self._is_stream = self._is_over = False

    @property
    def may_be_whole(self) -> bool:
        """Whether its answer may be all there. A stream says where its message ends; clients may leave there."""
        return self._is_over or self._is_stream

    def begin(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take the answer's head; of a failed or compressed answer nothing is kept."""
        if status == 200 and headers.get(b"content-encoding", b"identity") == b"identity":  # noqa: PLR2004 - OK
            self._pieces = []
            self._is_stream = headers.get(b"content-type", b"").startswith(b"text/event-stream")

    def add(self, piece: bytes) -> None:
        """Take a piece of the answer."""
        if self._pieces is None:
            return
        self._size += len(piece)
        if self._size > _MAX_BYTES:
            logger.warning("a turn is not captured: its answer is too large", extra={"limit_bytes": _MAX_BYTES})
            self._pieces = None
        else:
            self._pieces.append(piece)

    def end(self) -> None:
        """Take note that the answer has come to its end."""
        self._is_over = True

    def turn(self) -> Turn | None:
        """Return what was said; None if nothing was.

        Raises ValueError, LookupError, TypeError, AttributeError, RecursionError for JSON that is no message of Anthropic's.
        """
        if self._pieces is None:
            return None
        answer = b"".join(self._pieces)
        if self._is_stream and not self._is_over:
            # Whoever leaves may do so amid a line.
            answer = answer[: answer.rfind(b"\n") + 1]
        message = _assembled(answer) if self._is_stream else _loaded(answer)
        if message is None or message.get("type") != "message":
            return None
        turn = Turn(
            message_id=str(message.get("id", "")),
            model=str(message.get("model", "")),
            user_texts=tuple(map(_healed, _last_user_texts(_loaded(self._request)["messages"]))),
            assistant_text=_healed("".join(_texts(message["content"]))),
        )
        return turn if turn.user_texts or turn.assistant_text else None


def _assembled(stream: bytes) -> dict[str, Any] | None:
    """Return the message that a stream's events make; None if it did not come to its end."""
    message: dict[str, Any] | None = None
    pieces: list[str] = []
    for line in stream.splitlines():
        if not line.startswith(b"data:"):
            continue
        match _loaded(line.removeprefix(b"data:")):
            case {"type": "message_start", "message": dict(started)}:
                message = started
            case {"type": "content_block_start", "content_block": {"type": "text", "text": str(text)}}:
                pieces.append(text)
            case {"type": "content_block_delta", "delta": {"type": "text_delta", "text": str(text)}}:
                pieces.append(text)
            case {"type": "message_stop"} if message is not None:
                return message | {"content": "".join(pieces)}
            case _:
                pass
    return None


def _loaded(text: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        # Programs that count UTF-16 may cut a character into two, half in this text and half in the next: orjson takes none.
        return json.loads(text)


def _healed(text: str) -> str:
    """Return text with the characters that halves make; a half without the other is U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _last_user_texts(messages: list[Any]) -> Iterator[str]:
    """Yield what the user has said since the assistant last spoke: results of tools are not words of his."""
    behind = next((at for at in range(len(messages), 0, -1) if messages[at - 1]["role"] == "assistant"), 0)
    for message in messages[behind:]:
        for text in _texts(message["content"]):
            if text.strip() and not text.lstrip().startswith(_NOT_SAID):
                yield text


def _texts(content: Any) -> Iterator[str]:  # noqa: ANN401 - a caller's JSON
    if isinstance(content, str):
        yield content
        return
    for block in content:
        if block.get("type") == "text":
            yield block["text"]


class Captures:
    """Keeps turns, a bounded number at once and each for a bounded time. Nothing that goes wrong gets out."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = agent_service_pb2_grpc.AgentServiceStub(channel)
        self._under_way = 0

    async def keep(self, gathered: Gathered, metadata: Metadata) -> None:
        """Capture what was said, if something was."""
        if self._under_way >= _AT_ONCE:
            logger.warning("a turn is not captured: too many wait", extra={"limit": _AT_ONCE})
            return
        self._under_way += 1
        try:
            async with asyncio.timeout(_SECONDS):
                # Aside: a long answer takes a while to read.
                turn = await asyncio.to_thread(gathered.turn)
                if turn:
                    await settled(self._stub.CaptureMessages(_request_of(turn), metadata=metadata))
        except (Failure, TimeoutError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            logger.warning("a turn is not captured", extra={"error": repr(error)})
        finally:
            self._under_way -= 1


def _request_of(turn: Turn) -> agent_service_pb2.CaptureMessagesRequest:
    request_id = str(uuid.uuid5(_NAMESPACE, turn.message_id)) if turn.message_id else ""
    return agent_service_pb2.CaptureMessagesRequest(
        request_id=request_id,
        user_texts=turn.user_texts,
        assistant_text=turn.assistant_text,
        model=turn.model,
    )
