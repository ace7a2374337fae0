"""Streams over HTTP: server-sent events to the standard, lines of JSON, slow and vanished clients."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx2
import pytest

from letta_grpc.gateway.options import GatewayOptions
from tests.requirements.registry import requirement
from tests.support.gateways import blocks_of, error_of, event_of, events_of, fields_in, made_up_gateway
from tests.support.made_up import new
from tests.support.programs import required

WATCH = "/api/v1/shelves/s/happenings:stream"
SSE = {"accept": "text/event-stream"}
LINES = {"accept": "application/x-ndjson"}


def happenings(*numbers: int, shelf: str = "s") -> Any:  # noqa: ANN401 - a message without stubs
    return new("WatchResponse", shelf=shelf, happenings=[happening(number) for number in numbers])


def happening(number: int) -> Any:  # noqa: ANN401 - a message without stubs
    return new("Happening", sequence_number=number, more_text=f"text {number}")


async def watch(request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
    """Four happenings in two responses, whatever lies behind the position."""
    for numbers in ((1, 2, 3), (4,)):
        if left := [number for number in numbers if number > request.after_sequence_number]:
            yield happenings(*left)


async def test_each_element_of_a_response_is_an_event_with_number_kind_and_the_other_fields() -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers=SSE)
    retry, *events = blocks_of(answer.text)
    assert retry == "retry: 1000"
    assert events == [
        f'id: {number}\nevent: more_text\ndata: {{"shelf":"s","sequenceNumber":{number},"moreText":"text {number}"}}'
        for number in (1, 2, 3, 4)
    ]
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"


async def test_lines_of_json_hold_what_events_hold() -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        lines = await client.get(WATCH, headers=LINES)
        events = await client.get(WATCH, headers=SSE)
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in lines.text.splitlines()] == [event.data for event in events_of(events.text)]


@requirement("complaint_23_one_shape")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "text/event-stream"),
        ("", "text/event-stream"),
        ("text/html, text/event-stream;q=0.5", "text/event-stream"),
        ("text/event-stream;q=0.1, application/x-ndjson", "application/x-ndjson"),
        ("application/jsonl", "application/x-ndjson"),
        ("text/event-stream;q=0, application/ndjson;q=0.1", "application/x-ndjson"),
        ("text/event-stream;q=0, */*", "application/x-ndjson"),
        ("*/*, text/*;q=0", "application/x-ndjson"),
        ("text/*;q=0, text/event-stream", "text/event-stream"),
        ("*/*;q=0.1, application/*;q=0", "text/event-stream"),
    ],
)
async def test_the_form_is_what_accept_prefers(accept: str, kind: str) -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers={"accept": accept})
    assert answer.headers["content-type"] == kind


@pytest.mark.parametrize("accept", ["application/json", "*/*;q=0", "text/event-stream;q=0", "*/*;q=nan", "*/*;q=\xb2"])
async def test_a_form_that_there_is_not_is_406(accept: str) -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers=[(b"accept", accept.encode("latin-1"))])
    assert (answer.status_code, error_of(answer)["status"]) == (406, "INVALID_ARGUMENT")


async def test_a_stream_goes_on_behind_last_event_id_which_wins_over_the_query() -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        for query, headers, numbers in (
            ("", {}, ["1", "2", "3", "4"]),
            ("?afterSequenceNumber=2", {}, ["3", "4"]),
            ("?afterSequenceNumber=2", {"last-event-id": "3"}, ["4"]),
            ("?after_sequence_number=2", {"last-event-id": ""}, ["3", "4"]),
            ("", {"last-event-id": "0"}, ["1", "2", "3", "4"]),
        ):
            answer = await client.get(WATCH + query, headers=SSE | headers)
            assert [event.id for event in events_of(answer.text)] == numbers


async def test_behind_the_last_event_there_is_204_so_that_an_event_source_stops() -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers=SSE | {"last-event-id": "4"})
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("position", ["four", "-1", "1.5", "2147483648", "\xb2", "9" * 26, "9" * 5000, "run-1:4"])
async def test_a_last_event_id_that_is_no_number_is_400(position: str) -> None:
    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(
            WATCH, headers=[(b"accept", b"text/event-stream"), (b"last-event-id", position.encode("latin-1"))]
        )
    assert (answer.status_code, list(fields_in(error_of(answer)))) == (400, ["Last-Event-ID"])


async def test_a_stream_of_several_sequences_has_no_ids_since_none_could_resume_it() -> None:
    async def watch_all(request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        for start in request.starts:
            yield new("WatchAllResponse", shelf=start.shelf, happenings=[happening(1)])

    async with made_up_gateway({"WatchAll": watch_all}) as client:
        answer = await client.post("/api/v1/shelves:watch", json={"starts": [{"shelf": "a"}, {"shelf": "b"}]}, headers=SSE)
    events = events_of(answer.text)
    assert [(event.id, event.data["shelf"], event.data["sequenceNumber"]) for event in events] == [
        (None, "a", 1),
        (None, "b", 1),
    ]


async def test_a_response_that_is_no_list_is_one_frame() -> None:
    async def count(request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        for number in range(request.to):
            yield new("CountResponse", number=number)

    async with made_up_gateway({"Count": count}) as client:
        answer = await client.get("/api/v1/count?to=2", headers=SSE)
    assert blocks_of(answer.text)[1:] == ["data: {}", 'data: {"number":1}']


async def test_a_heartbeat_is_a_comment_in_events_and_a_line_in_lines() -> None:
    async def watch(_request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        beat = new("Happening", sequence_number=1, heartbeat=new("Heartbeat"))
        yield new("WatchResponse", shelf="s", happenings=[happening(1), beat])

    async with made_up_gateway({"Watch": watch}) as client:
        events = await client.get(WATCH, headers=SSE)
        lines = await client.get(WATCH, headers=LINES)
    assert blocks_of(events.text)[2] == ": keepalive\nid: 1"
    assert json.loads(lines.text.splitlines()[1]) == {"shelf": "s", "sequenceNumber": 1, "heartbeat": {}}


async def test_an_event_of_an_unknown_kind_keeps_its_number() -> None:
    async def watch(_request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        newer = new("Happening").FromString(happening(7).SerializeToString()[:2] + b"\x9a\x06\x02hi")
        yield new("WatchResponse", shelf="s", happenings=[newer])

    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers=SSE)
    assert blocks_of(answer.text)[1:] == ['id: 7\ndata: {"shelf":"s","sequenceNumber":7}']


async def test_a_failure_before_the_first_event_is_a_status() -> None:
    async def watch(_request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such shelf")
        yield

    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers=SSE)
    assert (answer.status_code, error_of(answer)["message"]) == (404, "no such shelf")


async def test_who_asks_by_get_waits_for_a_server_that_is_away_and_who_starts_something_is_told() -> None:
    asked = 0

    async def away_for_two(request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        nonlocal asked
        asked += 1
        if asked <= 2:
            # The second is what a call gets that a server cuts while it stops.
            await context.abort((grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)[asked - 1], "restarting")
        async for response in watch(request, context):
            yield response

    async with made_up_gateway({"Watch": away_for_two}, GatewayOptions(return_seconds=10)) as client:
        answer = await client.get(WATCH, headers=SSE)
    assert (answer.status_code, len(events_of(answer.text)), asked) == (200, 4, 3)

    async def away(_request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        nonlocal asked
        asked += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")
        yield

    async with made_up_gateway({"Watch": away, "WatchAll": away}, GatewayOptions(return_seconds=0.1)) as client:
        assert (await client.get(WATCH, headers=SSE)).status_code == 503
        asked = 0
        assert (await client.post("/api/v1/shelves:watch", json={}, headers=SSE)).status_code == 503
    assert asked == 1


@pytest.mark.parametrize("headers", [SSE, LINES])
async def test_a_failure_on_the_way_is_the_last_thing_and_has_no_id(headers: dict[str, str]) -> None:
    async def watch(_request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        yield happenings(1)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "going")

    async with made_up_gateway({"Watch": watch}) as client:
        answer = await client.get(WATCH, headers=headers)
    assert answer.status_code == 200
    if headers is SSE:
        last = event_of(blocks_of(answer.text)[-1])
        assert (last.id, last.event) == (None, "error")
        told = last.data
    else:
        told = json.loads(answer.text.splitlines()[-1])
    assert (told["error"]["code"], told["error"]["status"]) == (503, "UNAVAILABLE")


class Held:
    """A watch that says one thing, then waits; and knows when it was left."""

    def __init__(self, *, announce: bool = False, quiet: bool = False) -> None:
        self.more, self.left = asyncio.Event(), asyncio.Event()
        self.sent = 0
        self._announce, self._quiet = announce, quiet

    async def watch(self, _request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
        context.add_done_callback(lambda _: self.left.set())
        if self._announce:
            await context.send_initial_metadata((("letta-run-id", "run-1"),))
        if not self._quiet:
            yield happenings(1)
        await self.more.wait()
        yield happenings(2)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_each_event_can_be_read_before_the_next_is_there(encoding: str) -> None:
    held = Held()
    async with made_up_gateway({"Watch": held.watch}) as client, asyncio.timeout(20):
        headers = SSE | {"accept-encoding": encoding}
        async with client.stream("GET", WATCH, headers=headers) as answer:
            assert answer.headers.get("content-encoding", "identity") == encoding
            text = ""
            async for piece in decoded(answer):
                text += piece
                if "id: 1\n" in text:
                    held.more.set()
    assert [event.id for event in events_of(text)] == ["1", "2"]


async def decoded(answer: httpx2.Response) -> AsyncIterator[str]:
    """The pieces as they come; gzip is undone here, since the client's own decoder may hold back."""
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if answer.headers.get("content-encoding") == "gzip" else None
    async for piece in answer.aiter_raw():
        yield (unpack.decompress(piece) if unpack else piece).decode()
    if unpack:
        assert unpack.eof


async def test_a_quiet_stream_that_was_accepted_opens_before_its_first_event() -> None:
    held = Held(announce=True, quiet=True)
    async with (
        made_up_gateway({"Watch": held.watch}, GatewayOptions(opening_seconds=0.01)) as client,
        asyncio.timeout(20),
        client.stream("GET", WATCH, headers=SSE) as answer,
    ):
        assert (answer.status_code, answer.headers["letta-run-id"]) == (200, "run-1")
        held.more.set()
        text = "".join([piece async for piece in answer.aiter_text()])
    assert [event.id for event in events_of(text)] == ["2"]


async def test_a_client_that_vanishes_ends_its_call_at_once() -> None:
    held = Held()
    async with made_up_gateway({"Watch": held.watch}) as client, asyncio.timeout(20):
        async with client.stream("GET", WATCH, headers=SSE) as answer:
            async for piece in answer.aiter_text():
                if "id: 1\n" in piece:
                    break
        await held.left.wait()


async def test_a_client_that_leaves_a_unary_call_ends_it() -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def search(_request: Any, context: Any) -> Any:  # noqa: ANN401 - messages without stubs
        context.add_done_callback(lambda _: left.set())
        begun.set()
        await asyncio.Event().wait()

    async with made_up_gateway({"Search": search}) as client, asyncio.timeout(20), asyncio.TaskGroup() as group:
        asking = group.create_task(client.get("/api/v1/search"))
        await begun.wait()
        asking.cancel()
        await left.wait()


@requirement("tutorial_backpressure")
async def test_a_client_that_does_not_read_holds_its_stream_up_and_nobody_elses() -> None:
    sent = 0
    stalled = asyncio.Event()

    async def watch(_request: Any, context: Any) -> None:  # noqa: ANN401 - messages without stubs
        nonlocal sent
        big = new("Happening", sequence_number=1, more_text="x" * 100_000)
        while True:
            try:
                async with asyncio.timeout(1):
                    await context.write(new("WatchResponse", shelf="s", happenings=[big]))
            except TimeoutError:
                stalled.set()
                raise
            sent += 1

    async with made_up_gateway({"Watch": watch, "Count": _count}) as client, asyncio.timeout(40):
        async with client.stream("GET", WATCH, headers=SSE):
            await stalled.wait()
            assert (await client.get("/api/v1/count?to=1", headers=SSE)).status_code == 200
        # What lies in the sockets and windows between; without a limit it would be gigabytes.
        assert sent < 500


async def _count(_request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: ANN401 - messages without stubs
    yield new("CountResponse", number=1)


async def test_a_connection_is_kept_for_the_next_request_after_a_stream() -> None:
    async with made_up_gateway({"Watch": watch}) as client, asyncio.timeout(20):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
        for _ in range(2):
            writer.write(f"GET {WATCH} HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"transfer-encoding: chunked" in head
            assert (await reader.readuntil(b"0\r\n\r\n")).count(b"event: more_text") == 4
        writer.close()
        await writer.wait_closed()


async def test_http_1_0_gets_a_stream_without_chunks_and_a_body_with_its_length() -> None:
    async def search(_request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
        return new("SearchResponse")

    async with made_up_gateway({"Watch": watch, "Search": search}) as client, asyncio.timeout(20):
        for path in (WATCH, "/api/v1/search"):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
            writer.write(f"GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n".encode())
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            writer.close()
            assert b"200 OK" in head
            assert b"transfer-encoding" not in head
            assert (b"content-length" in head) == (path != WATCH)
            assert path != WATCH or len(events_of(body.decode())) == 4


async def test_curl_shows_events_as_they_come() -> None:
    held = Held()
    curl = required("curl")
    async with made_up_gateway({"Watch": held.watch}) as client, asyncio.timeout(20):
        process = await asyncio.create_subprocess_exec(
            curl, "-sSN", "--noproxy", "*", str(client.base_url.join(WATCH)), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout
        seen = b""
        while b"id: 1\n" not in seen:
            line = await process.stdout.readline()
            assert line, seen
            seen += line
        held.more.set()
        seen += await process.stdout.read()
        assert await process.wait() == 0
    assert [event.id for event in events_of(seen.decode())] == ["1", "2"]


async def test_a_large_answer_is_compressed_for_who_takes_it_and_a_small_one_never() -> None:
    async def search(request: Any, _context: Any) -> Any:  # noqa: ANN401 - messages without stubs
        return new("SearchResponse", heard=request)

    async with made_up_gateway({"Search": search}) as client:
        for words, accepted, encoding in (("x" * 5000, "gzip", "gzip"), ("x" * 5000, "gzip;q=0", None), ("x", "gzip", None)):
            answer = await client.post("/api/v1/search", json={"text": words}, headers={"accept-encoding": accepted})
            assert answer.headers.get("content-encoding") == encoding
            assert answer.json()["heard"]["text"] == words
