"""Answers that are told as they come (SSE), and those that wait for the end.

Rules of the SDKs' parsers: data events without a name, failures as `event: error`, no `id` and no `retry` (the Python SDK
fails on what comes behind them), `[DONE]` and then the end of the answer at once.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from letta_grpc.gateway.answers import raw_headers
from letta_grpc.gateway.faces.letta.errors import LettaFailure
from letta_grpc.gateway.faces.letta.following import Following
from letta_grpc.gateway.faces.letta.modes import PING, Mode, View
from letta_grpc.gateway.faces.letta.shapes.messages import Item, envelope
from letta_grpc.gateway.faces.letta.shapes.runs import error_json, error_kind, stop_reason_json, usage_statistics_json
from letta_grpc.gateway.faces.letta.steps_mode import StepsMode
from letta_grpc.gateway.faces.letta.tokens_mode import TokensMode
from letta_grpc.gateway.failures import Failure
from letta_grpc.gateway.formats import DONE, KEEPALIVE, STREAM_HEADERS
from letta_grpc.gateway.metadata import RUN_ID_KEY
from letta_grpc.v1 import events_pb2
from letta_grpc.v1 import runs_pb2 as pb

_HEADERS = {"content-type": "text/event-stream; charset=utf-8", **STREAM_HEADERS}
_OPENING = 1


class LettaEventStream(Response):
    """A run as server-sent events, to its end. Closes what it follows."""

    def __init__(self, following: Following, view: View) -> None:
        super().__init__()
        self._following = following
        self._view = view
        self._mode: Mode = (TokensMode if view.tokens else StepsMode)(following.run_id, view)
        # A ping says how far the reader is; the first one stands for the run's first event.
        self._told = max(view.after, _OPENING)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope, receive
        headers = _HEADERS | {RUN_ID_KEY: self._following.run_id}
        try:
            await send({"type": "http.response.start", "status": 200, "headers": raw_headers(headers)})
            if self._view.after < _OPENING:
                # At once, before anything happens: it names the run, so that the reader can come back to it or end it.
                await _write(send, self._ping())
            await self._pump(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._following.close()

    async def _pump(self, send: Send) -> None:
        try:
            while (events := await self._following.read()) is not None:
                if data := b"".join([frame for event in events for frame in self._frames(event)]):
                    await _write(send, data)
        except Failure as failure:
            await _write(send, self._cut(failure))

    def _frames(self, event: events_pb2.RunEvent) -> Iterator[bytes]:
        match event.WhichOneof("payload"):
            case "run_finished":
                yield from _end(event.run_finished.run, event.sequence_number)
            case "heartbeat":
                yield self._ping()
            case _:
                for item in self._mode.of(event):
                    if self._view.passes(item):
                        self._told = item["seq_id"]
                        yield _frame(item)

    def _ping(self) -> bytes:
        if not self._view.pings:
            return KEEPALIVE
        now = datetime.now(UTC).isoformat(timespec="seconds")
        run_id = self._following.run_id
        return _frame(envelope(PING, id_=f"{PING}-{uuid4()}", date=now, run_id=run_id, seq_id=self._told))

    def _cut(self, failure: Failure) -> bytes:
        """Tell that the stream is over and the run is not: resuming behind `seq_id` goes on."""
        told = {
            "message_type": "error_message",
            "run_id": self._following.run_id,
            "error_type": "stream_incomplete",
            "message": "The stream was cut; the run goes on. Resume it with starting_after.",
            "detail": failure.message,
            "seq_id": self._told,
        }
        return _frame(told, b"error")


async def _write(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


def _frame(item: Item, event: bytes = b"") -> bytes:
    name = b"event: %b\n" % event if event else b""
    return b"%bdata: %b\n\n" % (name, orjson.dumps(item))


def _end(run: pb.Run, number: int) -> Iterator[bytes]:
    yield _frame(stop_reason_json(run))
    # Before an error: the SDKs stop reading there.
    yield _frame(usage_statistics_json(run.usage))
    if run.HasField("error"):
        yield _frame(error_json(run, number), b"error")
    yield DONE


async def whole_answer(following: Following, view: View) -> dict[str, Any]:
    """Return a run's answer once it has ended. Raises Failure, also if the run failed."""
    mode = StepsMode(following.run_id, view)
    items: list[Item] = []
    try:
        while (events := await following.read()) is not None:
            for event in events:
                if event.WhichOneof("payload") == "run_finished":
                    return _answer(event.run_finished.run, items)
                items += [item for item in mode.of(event) if view.passes(item)]
    finally:
        following.close()
    raise LettaFailure(500, {"detail": "The run's stream ended before the run."})


def _answer(run: pb.Run, items: list[Item]) -> dict[str, Any]:
    if run.HasField("error"):
        kind, status = error_kind(run.error)
        error = {"type": kind, "message": run.error.message, "detail": run.error.reason, "run_id": run.id}
        raise LettaFailure(status, {"error": error})
    stop_reason, usage = stop_reason_json(run), usage_statistics_json(run.usage)
    return {"messages": items, "stop_reason": stop_reason, "usage": usage, "logprobs": None, "turns": None}
