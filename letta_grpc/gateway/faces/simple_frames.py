"""What the *simple* face says: events as its few small frames."""

from collections.abc import Iterable, Iterator
from typing import Any

from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.paragraphs import Paragraphs
from letta_grpc.gateway.printing import dict_of
from letta_grpc.gateway.turns import BEGUN_AGAIN, STEP_RESTARTED
from letta_grpc.v1 import events_pb2, messages_pb2, runs_pb2

Frame = dict[str, Any]

DONE: Frame = {"type": "done"}


class SimpleFrames:
    """Makes one run's events into frames. `text_type` is what text is called; `is_joined`: what came together is one frame."""

    def __init__(self, text_type: str = "content", *, is_joined: bool = False) -> None:
        self._text_type = text_type
        self._is_joined = is_joined
        self._tools: dict[str, str] = {}
        self._told: set[str] = set()
        self._paragraphs = Paragraphs()
        self._tokens = 0
        self.is_over = False

    def of(self, events: Iterable[events_pb2.RunEvent]) -> Iterator[Frame]:
        """Yield the frames of some events."""
        text, waiting = "", 0
        for event in events:
            if self.is_over:
                return
            if event.HasField("text_delta"):
                delta = event.text_delta
                self._told.add(delta.message_id)
                text, waiting = text + self._paragraphs.next(delta.message_id, delta.text), waiting + 1
                if self._is_joined:
                    continue
            if waiting:
                yield self._text(text, waiting)
                text, waiting = "", 0
            yield from self._frames(event)
        if waiting:
            yield self._text(text, waiting)

    def _text(self, text: str, deltas: int) -> Frame:
        # While it runs nobody knows the true number: models send about a token at a time.
        self._tokens += deltas
        return {"type": self._text_type, "content": text, "tokens": self._tokens}

    def _frames(self, event: events_pb2.RunEvent) -> Iterator[Frame]:
        match event.WhichOneof("payload"):
            case "run_started":
                yield {"type": "status", "status": "thinking"}
            case "reasoning_delta" if event.reasoning_delta.text:
                yield {"type": "reasoning", "content": event.reasoning_delta.text}
            case "message_completed":
                self._tools |= {call.id: call.name for call in event.message_completed.message.tool_calls}
            case "tool_execution_started":
                call_id = event.tool_execution_started.tool_call_id
                yield {"type": "tool_call", "tool": self._tools.get(call_id, ""), "tool_call_id": call_id, "status": "started"}
            case "tool_return":
                returned = event.tool_return
                yield {"type": "tool_result", "result": _text_of(returned), "tool_call_id": returned.tool_call_id}
            case "step_restarted" if not self._told.isdisjoint(event.step_restarted.void_message_ids):
                self.is_over = True
                yield error_frame(BEGUN_AGAIN, STEP_RESTARTED)
            case "run_finished":
                self.is_over = True
                yield from self._end(event.run_finished.run)
            case _:
                pass

    def _end(self, run: runs_pb2.Run) -> Iterator[Frame]:
        if run.state == runs_pb2.RUN_STATE_FAILED:
            yield error_frame(run.error.message, run.error.reason)
            return
        if run.state == runs_pb2.RUN_STATE_CANCELLED:
            yield error_frame("The run was cancelled.", "CANCELLED")
            return
        if run.pending_actions:
            yield {"type": "approval", "run_id": run.id, "actions": [_action(action) for action in run.pending_actions]}
        yield self._complete(run)
        yield DONE

    def _complete(self, run: runs_pb2.Run) -> Frame:
        usage, timing = run.usage, run.timing
        frame: Frame = {
            "type": "status",
            "status": "complete",
            "total_tokens": usage.completion_tokens if usage.HasField("completion_tokens") else self._tokens,
        }
        # A run that only waits for an answer may have had no token.
        if timing.HasField("time_to_first_token"):
            frame["time_to_first_token"] = timing.time_to_first_token.ToTimedelta().total_seconds()
        # Nor is it known how long one took during which the clock was put back.
        if timing.HasField("total"):
            frame["total_time"] = timing.total.ToTimedelta().total_seconds()
        if timing.HasField("tokens_per_second"):
            frame["tokens_per_second"] = timing.tokens_per_second
        return frame


def error_frame(message: str, reason: str) -> Frame:
    """Return the last frame of something that failed."""
    return {"type": "error", "message": message, "reason": reason}


def frame_of(failure: Failure) -> Frame:
    """Return the last frame of a call that failed."""
    return error_frame(failure.message, failure.reason)


def _text_of(returned: messages_pb2.ToolReturn) -> str:
    if returned.HasField("content"):
        return "".join(part.text for part in returned.content.parts)
    return returned.text


def _action(action: runs_pb2.PendingAction) -> Frame:
    kind = runs_pb2.ActionKind.Name(action.kind).removeprefix("ACTION_KIND_").lower()
    frame: Frame = {
        "tool_call_id": action.tool_call_id,
        "kind": kind,
        "tool": action.name,
        "arguments": action.arguments,
    }
    return frame | ({"expire_time": dict_of(action.expire_time)} if action.HasField("expire_time") else {})
