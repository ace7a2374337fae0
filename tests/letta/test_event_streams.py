"""The stream itself: silence, cuts, and headers."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from starlette.types import Message

from letta_grpc.gateway.faces.letta.modes import View
from letta_grpc.gateway.faces.letta.streams import LettaEventStream
from letta_grpc.gateway.failures import refused
from letta_grpc.v1 import events_pb2 as pb
from letta_grpc.v1 import runs_pb2
from tests.support.letta import Frame, frames_of

RUN = "run-00000000-0000-4000-8000-000000000001"
SAID = "message-00000000-0000-4000-8000-0000000000ff"
Told = Sequence[pb.RunEvent] | Exception


class Scripted:
    """Something to follow that tells what it was made with."""

    run_id = RUN

    def __init__(self, *told: Told) -> None:
        self._told = list(told)
        self.closed = False

    async def read(self) -> Sequence[pb.RunEvent] | None:
        told = self._told.pop(0) if self._told else None
        if isinstance(told, Exception):
            raise told
        return told

    def close(self) -> None:
        self.closed = True


def words(number: int) -> pb.RunEvent:
    return pb.RunEvent(sequence_number=number, text_delta=pb.TextDelta(message_id=SAID, text=f"w{number}"))


def heartbeat(number: int) -> pb.RunEvent:
    return pb.RunEvent(sequence_number=number, heartbeat=pb.Heartbeat())


def finished(number: int) -> pb.RunEvent:
    run = runs_pb2.Run(id=RUN, state=runs_pb2.RUN_STATE_COMPLETED, stop_reason=runs_pb2.STOP_REASON_END_TURN)
    return pb.RunEvent(sequence_number=number, run_finished=pb.RunFinished(run=run))


async def streamed(followed: Scripted, **view: Any) -> tuple[dict[str, str], str]:  # noqa: ANN401 - fields by name
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is to be read")

    await LettaEventStream(followed, View(tokens=True, **view))({}, receive, send)  # type: ignore[arg-type]  # it is as good as one
    assert followed.closed
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    assert (sent[0]["status"], sent[-1]) == (200, {"type": "http.response.body", "body": b"", "more_body": False})
    return headers, b"".join(message["body"] for message in sent[1:]).decode()


def numbers(frames: Sequence[Frame]) -> list[tuple[str, Any]]:
    return [(frame.data["message_type"], frame.data.get("seq_id")) for frame in frames if frame.data]


async def test_silence_is_broken_by_pings_that_say_how_far_the_reader_is() -> None:
    headers, body = await streamed(Scripted([heartbeat(2)], [words(4), words(5)], [heartbeat(5)], [finished(6)]))
    told = numbers(frames_of(body))
    assert told == [
        ("ping", 1),
        ("ping", 1),
        ("assistant_message", 4),
        ("assistant_message", 5),
        ("ping", 5),
        ("stop_reason", None),
        ("usage_statistics", None),
    ]
    assert headers["letta-run-id"] == RUN
    assert headers["content-type"] == "text/event-stream; charset=utf-8"


async def test_a_reader_without_pings_still_gets_bytes() -> None:
    _, body = await streamed(Scripted([heartbeat(2)], [words(4)], [finished(5)]), pings=False)
    assert body.count(": keepalive\n\n") == 2
    assert "ping" not in body


@pytest.mark.parametrize("after", range(8))
async def test_a_reader_that_comes_back_gets_what_it_has_not_got(after: int) -> None:
    events = [words(4), words(5), words(6), finished(7)]
    whole = [frame for frame in frames_of((await streamed(Scripted(events)))[1]) if frame.data]
    rest = frames_of((await streamed(Scripted(events), after=after))[1])
    missed = [frame for frame in whole if frame.data and (frame.data.get("seq_id") or 8) > after]
    # Of each ping only what it says can be the same.
    assert numbers(rest) == numbers(missed)
    assert rest[-1].data is None


async def test_a_stream_that_is_cut_says_that_the_run_goes_on_and_from_where() -> None:
    cut = refused("The server is stopping.", http=503, code=grpc.StatusCode.UNAVAILABLE)
    _, body = await streamed(Scripted([words(4)], cut))
    last = frames_of(body)[-1]
    assert last.event == "error"
    assert last.data
    assert (last.data["error_type"], last.data["seq_id"], last.data["run_id"]) == ("stream_incomplete", 4, RUN)
    assert "stop_reason" not in body
