"""A run's events as a chat completion: in chunks, or whole."""

from collections.abc import Iterable, Iterator
from typing import Any

import grpc
from starlette.responses import JSONResponse, Response

from letta_grpc.gateway.faces.openai.requests import ChatRequest
from letta_grpc.gateway.faces.openai.words import Words, WrittenAgainError, content_of
from letta_grpc.gateway.failures import HTTP_OF_CODE, Failure, refused
from letta_grpc.gateway.paragraphs import Paragraphs, joined
from letta_grpc.gateway.turns import BEGUN_AGAIN, STEP_RESTARTED
from letta_grpc.v1 import events_pb2, runs_pb2

Json = dict[str, Any]

# What a run may fail with by itself → the HTTP status. All else is a fault of somebody behind this server.
_HTTP_OF_RUN = {"CONTEXT_WINDOW_EXCEEDED": 400, "MODEL_BAD_REQUEST": 400, "MODEL_RATE_LIMITED": 429, "RUN_TIMEOUT": 504}
# OpenAI's own header, which its SDKs obey: the message is in the conversation already.
NO_RETRY = {"x-should-retry": "false"}
_WRITTEN_AGAIN = (
    "What was said so far does not have the shape that was asked for, and the model writes it again. "
    "Without streaming, the last it says is the answer."
)
_FINISH = {
    runs_pb2.STOP_REASON_MAX_STEPS: "length",
    runs_pb2.STOP_REASON_MAX_TOKENS: "length",
    runs_pb2.STOP_REASON_CONTENT_FILTER: "content_filter",
    runs_pb2.STOP_REASON_REQUIRES_APPROVAL: "tool_calls",
    runs_pb2.STOP_REASON_REQUIRES_CLIENT_TOOL: "tool_calls",
}


class ChatChunks:
    """Makes one run's events into chunks. The first has the role, all have the same id, the last the reason of the end."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._head: Json = {}
        self._words, self._reasoning = Words(has_shape=request.has_shape), Paragraphs()
        self.is_over = False

    def of(self, events: Iterable[events_pb2.RunEvent]) -> Iterator[Json]:
        """Yield the chunks of some events."""
        try:
            yield from self._chunks(events)
        except WrittenAgainError:
            self.is_over = True
            yield told(refused(_WRITTEN_AGAIN, http=502, code=grpc.StatusCode.ABORTED, reason="INVALID_MODEL_OUTPUT"))

    def _chunks(self, events: Iterable[events_pb2.RunEvent]) -> Iterator[Json]:
        for event in events:
            if self.is_over:
                return
            match event.WhichOneof("payload"):
                case "run_started":
                    self._head = head_of(event.run_started.run, "chat.completion.chunk")
                    yield self._chunk({"role": "assistant", "content": ""})
                case "text_delta":
                    if text := self._words.next(event.text_delta.message_id, event.text_delta.text):
                        yield self._chunk({"content": text})
                case "reasoning_delta" if event.reasoning_delta.text:
                    reasoning = event.reasoning_delta
                    yield self._chunk({"reasoning_content": self._reasoning.next(reasoning.message_id, reasoning.text)})
                case "step_restarted" if self._words.void(event.step_restarted.void_message_ids):
                    self.is_over = True
                    code = grpc.StatusCode.UNAVAILABLE
                    yield told(refused(BEGUN_AGAIN, http=HTTP_OF_CODE[code], code=code, reason=STEP_RESTARTED))
                case "run_finished":
                    self.is_over = True
                    yield from self._end(event.run_finished.run)
                case _:
                    pass

    def _end(self, run: runs_pb2.Run) -> Iterator[Json]:
        if (failure := failure_of(run)) is not None:
            yield told(failure)
            return
        if rest := self._words.rest():
            yield self._chunk({"content": rest})
        if calls := tool_calls_of(run):
            yield self._chunk({"tool_calls": [{"index": index} | call for index, call in enumerate(calls)]})
        yield self._chunk({}, finish_of(run))
        if self._request.with_usage:
            yield self._head | {"choices": [], "usage": usage_of(run)}

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head | {"choices": [choice]} | ({"usage": None} if self._request.with_usage else {})


class ChatAnswer:
    """Gathers one run's events into a whole completion."""

    def __init__(self, request: ChatRequest) -> None:
        self._request = request
        self._texts: dict[str, str] = {}
        self._reasoning: dict[str, str] = {}
        self.run: runs_pb2.Run | None = None

    def take(self, events: Iterable[events_pb2.RunEvent]) -> None:
        """Take some events in."""
        for event in events:
            match event.WhichOneof("payload"):
                case "text_delta":
                    text = event.text_delta
                    self._texts[text.message_id] = self._texts.get(text.message_id, "") + text.text
                case "reasoning_delta" if event.reasoning_delta.text:
                    reasoning = event.reasoning_delta
                    self._reasoning[reasoning.message_id] = self._reasoning.get(reasoning.message_id, "") + reasoning.text
                case "step_restarted":
                    for void in event.step_restarted.void_message_ids:
                        self._texts.pop(void, None)
                        self._reasoning.pop(void, None)
                case "run_finished":
                    self.run = event.run_finished.run
                case _:
                    pass

    def completion(self, run: runs_pb2.Run) -> Json:
        """Return the whole of it."""
        content = content_of(self._texts.values(), has_shape=self._request.has_shape)
        message: Json = {"role": "assistant", "content": content, "refusal": None}
        if self._reasoning:
            message["reasoning_content"] = joined(self._reasoning.values())
        if calls := tool_calls_of(run):
            message["tool_calls"] = calls
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_of(run)}
        return head_of(run, "chat.completion") | {"choices": [choice], "usage": usage_of(run)}


def head_of(run: runs_pb2.Run, kind: str) -> Json:
    """Return what all chunks share: `chatcmpl-` and the run's id, so that the run can be found."""
    return {"id": f"chatcmpl-{run.id}", "object": kind, "created": run.create_time.seconds, "model": run.agent_id}


def finish_of(run: runs_pb2.Run) -> str:
    """Return why the answer ends, in OpenAI's words."""
    return _FINISH.get(run.stop_reason, "stop")


def tool_calls_of(run: runs_pb2.Run) -> list[Json]:
    """Return the calls that wait for an answer: of the client's tools, and of the agent's own that want an approval."""
    return [
        {"id": action.tool_call_id, "type": "function", "function": _function_of(action)} for action in run.pending_actions
    ]


def _function_of(action: runs_pb2.PendingAction) -> Json:
    # Clients parse them whatever they are; some models write nothing for a tool that takes nothing.
    return {"name": action.name, "arguments": action.arguments or "{}"}


def usage_of(run: runs_pb2.Run) -> Json | None:
    """Return what the provider reported; None where it reported nothing."""
    usage = run.usage
    if not (usage.HasField("prompt_tokens") or usage.HasField("completion_tokens")):
        return None
    told: Json = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
    }
    if usage.HasField("cached_input_tokens"):
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_input_tokens}
    if usage.HasField("reasoning_tokens"):
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return told


def failure_of(run: runs_pb2.Run) -> Failure | None:
    """Return the failure that a run is which did not end well; None for one that did."""
    if run.state == runs_pb2.RUN_STATE_FAILED:
        http, message, reason = _HTTP_OF_RUN.get(run.error.reason, 502), run.error.message, run.error.reason
    elif run.state == runs_pb2.RUN_STATE_CANCELLED:
        http, message, reason = 409, "The run was cancelled.", "CANCELLED"
    else:
        return None
    return refused(message, http=http, code=grpc.StatusCode.ABORTED, reason=reason, headers=NO_RETRY, run_id=run.id)


def refusal(failure: Failure) -> Response:
    """Return the answer that tells a failure."""
    return JSONResponse(told(failure), failure.http, failure.headers)


def told(failure: Failure) -> Json:
    """Return a failure as OpenAI tells them, in an answer and within a stream: of anything else its SDKs show no text."""
    kind = _KINDS.get(failure.http, "server_error" if failure.http >= 500 else "invalid_request_error")  # noqa: PLR2004 - the server's own
    message = _PENDING if failure.reason == "APPROVAL_PENDING" else failure.message
    error = {"message": message, "type": kind, "param": _param(failure), "code": failure.reason}
    return {"error": error}


# The server's own words name choices that a chat completion has not.
_PENDING = (
    "The conversation waits for answers to tool calls: end the messages with one of role 'tool' for each call of "
    "a tool of yours, or put them right before the user's. The native routes take the others."
)
_KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def _param(failure: Failure) -> str | None:
    if failure.reason == "AGENT_NOT_FOUND":
        return "model"
    broken = (violation["field"] for detail in failure.details for violation in detail.get("fieldViolations", ()))
    found = next(broken, None)
    return "model" if found == "agent_id" else found
