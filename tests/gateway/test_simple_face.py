"""The simple face: messages in, small JSON frames out."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from letta_grpc.gateway.faces.simple_frames import SimpleFrames
from letta_grpc.v1 import agent_service_pb2, blocks_pb2, events_pb2, runs_pb2
from tests.requirements.registry import requirement
from tests.support.faces import Faced, Frame, faced, frames_of, script

WAITING = script({"text": "one "}, {"wait_for_cancel": True})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Faced]:
    async with faced(tmp_path_factory.mktemp("house")) as server:
        yield server


pytestmark = pytest.mark.asyncio(loop_scope="module")


def text_in(frames: list[Frame], kind: str = "content") -> str:
    return "".join(frame["content"] for frame in frames if frame["type"] == kind)


def types_of(frames: list[Frame]) -> list[str]:
    """The types in order, each once where it repeats."""
    kinds = [frame["type"] for frame in frames]
    return [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] != kind]


@requirement("tutorial_stream", "tutorial_testable", "tutorial_tokens")
async def test_words_come_one_by_one_between_thinking_and_done(server: Faced) -> None:
    frames = await server.frames(agent_id=await server.agent(), message="one two  three\nfour")
    assert frames[0] == {"type": "status", "status": "thinking"}
    assert types_of(frames) == ["status", "content", "status", "done"]
    words = [frame for frame in frames if frame["type"] == "content"]
    assert [frame["content"] for frame in words] == ["one ", "two  ", "three\n", "four"]
    assert frames[-1] == {"type": "done"}


@requirement("tutorial_progress", "tutorial_metrics")
async def test_tokens_are_counted_on_the_way_and_the_end_says_how_many_and_how_fast(server: Faced) -> None:
    frames = await server.frames(agent_id=await server.agent(), message="one two three")
    assert [frame["tokens"] for frame in frames if frame["type"] == "content"] == [1, 2, 3]
    complete = frames[-2]
    assert (complete["status"], complete["total_tokens"]) == ("complete", 3)
    assert 0 <= complete["time_to_first_token"] <= complete["total_time"]
    assert complete["tokens_per_second"] > 0


@requirement("tutorial_stream")
@pytest.mark.parametrize("options", [{}, {"chunk_size": 100}])
async def test_texts_before_and_behind_a_tool_are_paragraphs(server: Faced, options: dict[str, int]) -> None:
    call = {"tool_call": {"name": "archival_memory_search", "arguments": {"query": "x"}}}
    words = script([{"text": "Let me "}, {"text": "look."}, call], [call], [{"text": ""}, {"text": "It is 5."}])
    agent_id = await server.agent("scripted/script", tools=["archival_memory_search"])
    assert text_in(await server.frames(agent_id=agent_id, message=words, **options)) == "Let me look.\n\nIt is 5."


@requirement("tutorial_tools")
async def test_a_tool_is_told_when_it_starts_and_when_it_returns(server: Faced) -> None:
    agent_id = await server.agent(
        "scripted/script", tools=["memory_insert"], memory_blocks=[blocks_pb2.Block(label="human", value="")]
    )
    arguments = {"label": "human", "new_string": "Ada", "new_str": "Ada"}
    call = {"tool_call": {"name": "memory_insert", "arguments": arguments, "id": "call_1"}}
    frames = await server.frames(agent_id=agent_id, message=script([{"reasoning": "Hm."}, call], [{"text": "Noted."}]))
    assert types_of(frames) == ["status", "reasoning", "tool_call", "tool_result", "content", "status", "done"]
    by_type = {frame["type"]: frame for frame in frames}
    assert by_type["reasoning"] == {"type": "reasoning", "content": "Hm."}
    called = by_type["tool_call"]
    assert called == {"type": "tool_call", "tool": "memory_insert", "tool_call_id": "call_1", "status": "started"}
    assert by_type["tool_result"]["tool_call_id"] == "call_1"
    assert by_type["tool_result"]["result"]


async def test_what_nobody_can_read_of_reasoning_is_not_told() -> None:
    signed = events_pb2.ReasoningDelta(message_id="message-1", signature="proof")
    hidden = events_pb2.ReasoningDelta(message_id="message-1", omitted_reasoning=True)
    assert list(SimpleFrames().of(events_pb2.RunEvent(reasoning_delta=delta) for delta in (signed, hidden))) == []


async def test_times_that_nobody_knows_are_not_told() -> None:
    ended = runs_pb2.Run(state=runs_pb2.RUN_STATE_COMPLETED)
    complete, _ = SimpleFrames().of([events_pb2.RunEvent(run_finished=events_pb2.RunFinished(run=ended))])
    assert complete == {"type": "status", "status": "complete", "total_tokens": 0}


async def test_calls_that_wait_for_approval_are_told_before_the_end(server: Faced) -> None:
    agent_id = await server.agent("scripted/script", tools=["memory_insert"], tool_approvals={"memory_insert": True})
    call = {"tool_call": {"name": "memory_insert", "arguments": {"a": 1}, "id": "call_1"}}
    frames = await server.frames(agent_id=agent_id, message=script(call))
    assert types_of(frames) == ["status", "approval", "status", "done"]
    (action,) = frames[1]["actions"]
    assert action.pop("expire_time").endswith("Z")
    assert action == {"tool_call_id": "call_1", "kind": "approval", "tool": "memory_insert", "arguments": '{"a": 1}'}
    (run,) = await server.runs(agent_id)
    assert frames[1]["run_id"] == run.id
    refused = await server.http.post("/stream", json={"agent_id": agent_id, "message": "and now?"})
    assert (refused.status_code, frames_of(refused.text)[0]["reason"]) == (400, "APPROVAL_PENDING")


@requirement("tutorial_failure")
async def test_a_failed_run_ends_with_an_error_that_names_its_reason(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    message = script({"text": "Well, "}, {"error": "MODEL_OVERLOADED", "message": "too much"})
    frames = await server.frames(agent_id=agent_id, message=message)
    assert types_of(frames) == ["status", "content", "error"]
    assert frames[-1] == {"type": "error", "message": "too much", "reason": "MODEL_OVERLOADED"}


@pytest.mark.parametrize(
    ("body", "status", "reason", "about"),
    [
        ({"agent_id": "agent-00000000-0000-4000-8000-000000000000", "message": "x"}, 404, "AGENT_NOT_FOUND", "agent"),
        ({"agent_id": "nobody", "message": "x"}, None, None, "agent"),
        ({"message": "x"}, 400, "INVALID_REQUEST", "agent_id"),
        ({"agent_id": "a", "message": ""}, 400, "INVALID_REQUEST", "message"),
        ({"agent_id": "a", "message": ["x"]}, 400, "INVALID_REQUEST", "message"),
        ({"agent_id": "a", "message": "x", "chunk_size": -1}, 400, "INVALID_REQUEST", "chunk_size"),
        ({"agent_id": "a", "message": "x", "chunk_size": True}, 400, "INVALID_REQUEST", "chunk_size"),
        ({"agent_id": "a", "message": "x", "chunk_size": 70_000}, 400, "INVALID_REQUEST", "chunk_size: must be 0 to 65536"),
        ({"agent_ids": [f"a{n}" for n in range(65)], "message": "x"}, 400, "INVALID_REQUEST", "agent_ids: must be 1 to 64"),
        ({"agent_id": "a", "message": "x", "max_tokens_per_second": 1.5}, 400, "INVALID_REQUEST", "max_tokens_per_second"),
        ({"agent_ids": [], "message": "x"}, 400, "INVALID_REQUEST", "agent_ids"),
        ({"agent_ids": ["a", "a"], "message": "x"}, 400, "INVALID_REQUEST", "agent_ids"),
        ({"agent_ids": ["a"], "agent_id": "a", "message": "x"}, 400, "INVALID_REQUEST", "agent_ids"),
        ([], 400, "INVALID_REQUEST", "object"),
    ],
)
async def test_a_refusal_is_a_status_and_an_error_frame(
    server: Faced,
    body: Any,  # noqa: ANN401 - any JSON
    status: int | None,
    reason: str | None,
    about: str,
) -> None:
    answer = await server.http.post("/stream", json=body)
    (frame,) = frames_of(answer.text)
    assert frame.keys() == {"type", "message", "reason"}
    assert about in frame["message"].lower()
    assert answer.status_code in {status, 400 if status is None else status, 404 if status is None else status}
    assert reason in {None, frame["reason"]}


@requirement("tutorial_several")
async def test_several_agents_answer_at_once_and_each_frame_names_its_agent(server: Faced) -> None:
    slow, quick = await server.agent("scripted/script"), await server.agent("scripted/script")
    nobody = "agent-00000000-0000-4000-8000-000000000000"
    message = script({"repeat": 20, "text": "x ", "delay_ms": 5})
    frames = await server.frames(agent_ids=[slow, nobody, quick], message=message)
    for agent_id in (slow, quick):
        own = [frame for frame in frames if frame["agent_id"] == agent_id]
        assert types_of(own) == ["status", "content", "status", "done"]
        assert text_in(own) == "x " * 20
    (refused,) = [frame for frame in frames if frame["agent_id"] == nobody]
    assert (refused["type"], refused["reason"]) == ("error", "AGENT_NOT_FOUND")
    speakers = [frame["agent_id"] for frame in frames if frame["type"] == "content"]
    changes = sum(one != other for one, other in pairwise(speakers))
    assert changes > 2, "one after the other, not in turn"


@requirement("tutorial_chunks")
async def test_chunks_have_the_size_that_was_asked_for_and_the_tail_is_flushed(server: Faced) -> None:
    message = "a bc def ghij klmno pq r st uvw"
    frames = await server.frames(agent_id=await server.agent(), message=message, chunk_size=10)
    pieces = [frame["content"] for frame in frames if frame["type"] == "content"]
    assert "".join(pieces) == message
    assert all(len(piece) >= 10 for piece in pieces[:-1])
    assert 1 < len(pieces) <= 3


@requirement("tutorial_rate")
async def test_tokens_come_no_faster_than_was_asked_for(server: Faced) -> None:
    # By estimate, 4 characters a token: 50 tokens.
    loop = asyncio.get_running_loop()
    begun = loop.time()
    frames = await server.frames(agent_id=await server.agent(), message="abc " * 50, max_tokens_per_second=50)
    assert text_in(frames).strip() == ("abc " * 50).strip()
    assert loop.time() - begun > 0.5


@requirement("tutorial_compression")
async def test_a_compressed_stream_can_be_read_frame_by_frame(server: Faced) -> None:
    body = {"agent_id": await server.agent("scripted/script"), "message": WAITING}
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS)
    seen = ""
    headers = {"accept-encoding": "gzip"}
    async with asyncio.timeout(20), server.http.stream("POST", "/stream", json=body, headers=headers) as answer:
        assert answer.headers["content-encoding"] == "gzip"
        async for piece in answer.aiter_raw():
            seen += unpack.decompress(piece).decode()
            if '"content":"one "' in seen:
                break


@requirement("tutorial_framing")
async def test_each_frame_is_one_event_whatever_the_text_holds(server: Faced) -> None:
    message = 'data: x\n\ndata: [DONE]\r\nevent: error\r\r"\u2028 \x00é'
    frames = await server.frames(agent_id=await server.agent("scripted/script"), message=script({"text": message}))
    assert text_in(frames) == message


@requirement("tutorial_stop")
async def test_who_leaves_cancels_the_run(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    body = {"agent_id": agent_id, "message": WAITING}
    async with asyncio.timeout(20):
        async with server.http.stream("POST", "/stream", json=body) as answer:
            async for piece in answer.aiter_text():
                if "one " in piece:
                    break
        (run,) = await server.runs(agent_id)
        assert (await server.ended(run.id)).state == runs_pb2.RUN_STATE_CANCELLED


async def test_who_leaves_several_cancels_them_all(server: Faced) -> None:
    agents = [await server.agent("scripted/script"), await server.agent("scripted/script")]
    body = {"agent_ids": agents, "message": WAITING}
    async with asyncio.timeout(20):
        async with server.http.stream("POST", "/stream", json=body) as answer:
            seen = ""
            async for piece in answer.aiter_text():
                seen += piece
                if seen.count('"content"') >= 4:
                    break
        for agent_id in agents:
            (run,) = await server.runs(agent_id)
            assert (await server.ended(run.id)).state == runs_pb2.RUN_STATE_CANCELLED


@requirement("tutorial_status")
async def test_the_status_is_json_for_who_wants_no_page(server: Faced) -> None:
    answer = await server.http.get("/", headers={"accept": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def socket(server: Faced, path: str) -> connect:
    return connect(server.url.replace("http://", "ws://") + path, proxy=None)


async def turn(connection: ClientConnection) -> list[Frame]:
    """The frames of a turn."""
    frames: list[Frame] = []
    while not frames or frames[-1]["type"] not in {"done", "error"}:
        frames.append(json.loads(await connection.recv()))
    return frames


@requirement("tutorial_socket")
async def test_a_socket_takes_many_turns_and_survives_what_is_no_message(server: Faced) -> None:
    agent_id = await server.agent()
    async with asyncio.timeout(20), socket(server, f"/ws/{agent_id}") as connection:
        for words in ("hello there", "and again"):
            await connection.send(json.dumps({"message": words}))
            frames = await turn(connection)
            assert types_of(frames) == ["status", "chunk", "status", "done"]
            assert text_in(frames, "chunk") == words
        for wrong in ("{", "[]", '{"message": 1}', b"bytes"):
            await connection.send(wrong)
            (frame,) = await turn(connection)
            assert (frame["type"], frame["reason"]) == ("error", "INVALID_REQUEST")
        # What is sent before its turn waits.
        await connection.send(json.dumps({"message": "first"}))
        await connection.send(json.dumps({"message": "second"}))
        assert [text_in(await turn(connection), "chunk") for _ in range(2)] == ["first", "second"]
    assert len(await server.runs(agent_id)) == 4


async def test_a_socket_to_nobody_says_so_in_each_turn(server: Faced) -> None:
    async with asyncio.timeout(20), socket(server, "/ws/agent-00000000-0000-4000-8000-000000000000") as connection:
        for _ in range(2):
            await connection.send('{"message": "hello"}')
            (frame,) = await turn(connection)
            assert (frame["type"], frame["reason"]) == ("error", "AGENT_NOT_FOUND")


async def test_a_socket_that_closes_cancels_its_run(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    async with asyncio.timeout(20):
        async with socket(server, f"/ws/{agent_id}") as connection:
            await connection.send(json.dumps({"message": WAITING}))
            while json.loads(await connection.recv())["type"] != "chunk":
                pass
        (run,) = await server.runs(agent_id)
        assert (await server.ended(run.id)).state == runs_pb2.RUN_STATE_CANCELLED


async def test_who_does_not_wait_for_answers_is_closed(server: Faced) -> None:
    agent_id = await server.agent("scripted/script")
    async with asyncio.timeout(20), socket(server, f"/ws/{agent_id}") as connection:
        for _ in range(40):
            await connection.send(json.dumps({"message": WAITING}))
        with suppress(ConnectionClosedError):
            async for _ in connection:
                pass
        assert connection.close_code == 1013


@requirement("tutorial_chat")
async def test_bare_text_is_answered_by_the_chat_agent_which_is_made_once(server: Faced) -> None:
    async def chat(words: str) -> str:
        async with socket(server, "/chat") as connection:
            await connection.send(words)
            return text_in(await turn(connection), "chunk")

    async with asyncio.timeout(20):
        first = await asyncio.gather(*(chat(f"hello {number}") for number in range(1)))
        assert [*first, await chat("again")] == ["hello 0", "again"]
        found = await server.wire.agents.ListAgents(agent_service_pb2.ListAgentsRequest(name="ChatAgent"))
    assert [(agent.name, agent.model) for agent in found.agents] == [("ChatAgent", "scripted/echo")]


async def test_the_chat_agents_model_is_a_setting_and_the_key_goes_along(tmp_path: Path) -> None:
    async with faced(tmp_path, chat_model="scripted/demo", api_keys=("right",)) as server, asyncio.timeout(20):
        address = server.url.replace("http://", "ws://") + "/chat"
        with pytest.raises(InvalidStatus) as nobody:
            await connect(address, proxy=None)
        assert nobody.value.response.status_code == 401
        async with connect(address, proxy=None, additional_headers={"authorization": "Bearer right"}) as somebody:
            await somebody.send("hello")
            assert text_in(await turn(somebody), "chunk").startswith("Hello!")
        refused = await server.http.post("/stream", json={"agent_id": "a", "message": "b"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
