"""A link that breaks between request and first byte: the SDK repeats what it sent, and there is one run all the same."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from letta_client import AsyncLetta

from tests.support.letta import Site, script, serving_site, user
from tests.support.listening import listening

WORDS = script([{"text": "one "}, {"text": "two"}])
RETRY = {"x-stainless-retry-count": "1"}


@dataclass(slots=True)
class Severing:
    """A relay that breaks its first connection: as soon as the request has passed, or when the answer begins."""

    port: int
    waits_for_answer: bool
    severed: bool = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            if self.severed:
                await asyncio.gather(pass_on(reader, up_writer), pass_on(up_reader, writer))
                return
            self.severed = True
            up_writer.write(await whole_request(reader))
            await up_writer.drain()
            if self.waits_for_answer:
                await up_reader.read(1)
            writer.transport.abort()
        finally:
            up_writer.transport.abort()


async def whole_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head.lower())
    return head + await reader.readexactly(int(length[1]) if length else 0)


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # Either end may be gone first.
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def severed(site: Site, *, waits_for_answer: bool) -> AsyncIterator[AsyncLetta]:
    relay = Severing(urlsplit(site.url).port or 0, waits_for_answer)
    async with asyncio.timeout(40), listening(relay.serve) as address:
        # Once the client has closed what it had, the relay's connections end, too.
        async with AsyncLetta(base_url=f"http://{address}", max_retries=3) as client:
            yield client
        assert relay.severed


def kept(site: Site, agent_id: str) -> tuple[int, list[str]]:
    """How many runs there are, and what the user is remembered to have said."""
    messages = site.get(f"/v1/agents/{agent_id}/messages", order="asc")
    said = [item["content"] for item in messages if item["message_type"] == "user_message"]
    return len(site.get("/v1/runs/", agent_id=agent_id)), said


@pytest.mark.parametrize("has_otid", [False, True])
@pytest.mark.parametrize("waits_for_answer", [False, True])
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_repeated_request_finds_its_run(
    site: Site,
    has_otid: bool,  # noqa: FBT001 - a parameter
    waits_for_answer: bool,  # noqa: FBT001 - a parameter
    streaming: bool,  # noqa: FBT001 - a parameter
) -> None:
    agent_id = site.agent()
    messages: Any = user(WORDS, str(uuid4()) if has_otid else None)
    async with severed(site, waits_for_answer=waits_for_answer) as client:
        answer: Any = await client.agents.messages.create(agent_id, messages=messages, streaming=streaming)
        items = [item async for item in answer] if streaming else answer.messages
    assert [item.content for item in items if item.message_type == "assistant_message"] == ["one two"]
    assert kept(site, agent_id) == (1, [WORDS])


async def test_a_repeated_request_finds_its_run_in_a_conversation(site: Site) -> None:
    agent_id = site.agent()
    conversation_id = site.post(f"/v1/conversations/?agent_id={agent_id}", {}).json()["id"]
    async with severed(site, waits_for_answer=True) as client:
        answer: Any = await client.conversations.messages.create(conversation_id, messages=user(WORDS))  # type: ignore[arg-type]  # as JSON
        assert "assistant_message" in [item.message_type async for item in answer]
    assert kept(site, agent_id)[0] == 1


def test_without_the_header_or_with_another_body_it_is_another_run(site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    path = f"/v1/agents/{agent_id}/messages"
    for text, headers in (("hi", {}), ("hi", {}), ("ho", RETRY), ("ho", RETRY), ("hi", RETRY)):
        assert site.post(path, {"messages": user(text)}, **headers).is_success
    # Of the last only the newest run counts, which said something else.
    assert kept(site, agent_id) == (4, ["hi", "hi", "ho", "hi"])


def test_a_repeated_request_finds_its_run_in_the_queue(site: Site) -> None:
    agent_id = site.agent()
    path = f"/v1/agents/{agent_id}/messages"
    waiting = site.post(f"{path}/async", {"messages": user(script([{"wait_for_cancel": True}]))}).json()["id"]
    # The last one does not end: had it, what is asked again would be no longer what was said last.
    ours, behind = script([{"text": "ours"}]), script([{"text": "behind"}, {"wait_for_cancel": True}])
    first, last = (site.post(f"{path}/async", {"messages": user(text)}).json()["id"] for text in (ours, behind))
    assert site.post(f"{path}/async", {"messages": user(ours)}, **RETRY).json()["id"] == first
    assert site.post(f"/api/v1/runs/{waiting}:cancel", {}).is_success
    assert site.post(path, {"messages": user(ours)}, **RETRY).json()["messages"][0]["run_id"] == first
    assert kept(site, agent_id)[0] == 3
    assert site.post(f"/api/v1/runs/{last}:cancel", {}).is_success


def test_what_counts_is_how_long_ago_a_run_ended_not_how_old_it_is(tmp_path: Path) -> None:
    with serving_site(tmp_path) as site:
        agent_id = site.agent()
        path = f"/v1/agents/{agent_id}/messages"

        def said_again() -> str:
            run_id: str = site.post(path, {"messages": user(WORDS)}, **RETRY).json()["messages"][0]["run_id"]
            return run_id

        def a_minute_ago(column: str) -> None:
            with closing(sqlite3.connect(tmp_path / "letta.db")) as database, database:
                assert database.execute(f"UPDATE runs SET {column} = {column} - 61000000").rowcount == 1  # noqa: S608 - ours

        first = said_again()
        a_minute_ago("create_time")
        assert said_again() == first
        a_minute_ago("end_time")
        assert said_again() != first


def test_the_same_otid_is_one_run_by_whichever_route_and_mode(site: Site) -> None:
    agent_id = site.agent()
    body = {"messages": user(WORDS, str(uuid4()))}
    path = f"/v1/agents/{agent_id}/messages"
    whole = site.post(path, body).json()
    steps = site.stream(f"{path}/stream", body)
    tokens = site.stream(path, {**body, "streaming": True, "stream_tokens": True})
    later = site.post(f"{path}/async", body).json()
    default = site.stream("/v1/conversations/default/messages", {**body, "agent_id": agent_id})
    run_id = whole["messages"][0]["run_id"]
    assert later["id"] == run_id
    for stream in (steps, tokens, default):
        assert stream[0].data
        assert stream[0].data["run_id"] == run_id
    otid = body["messages"][0]["otid"]
    found = site.stream("/v1/conversations/default/stream", {"agent_id": agent_id, "otid": otid})
    assert found[0].data
    assert found[0].data["run_id"] == run_id
    assert kept(site, agent_id) == (1, [WORDS])


def test_however_many_messages_with_otids_of_any_length_begin_a_run(site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    otids = [f"{number:0128}" for number in range(1000)]
    sent = site.post(f"/v1/agents/{agent_id}/messages", {"messages": [one for otid in otids for one in user("x", otid)]})
    assert sent.status_code == 200, sent.text
    found = site.stream("/v1/conversations/default/stream", {"agent_id": agent_id, "otid": otids[-1]})
    assert found[0].data
    assert found[0].data["run_id"] == sent.json()["messages"][-1]["run_id"]


def test_a_run_is_found_by_any_otid_of_the_messages_that_began_it(site: Site) -> None:
    agent_id = site.agent("scripted/echo")
    otids = [str(uuid4()), str(uuid4())]
    body = {"messages": [*user("one", otids[0]), *user("two", otids[1])]}
    (said,) = site.post(f"/v1/agents/{agent_id}/messages", body).json()["messages"]
    for otid in otids:
        found = site.stream("/v1/conversations/default/stream", {"agent_id": agent_id, "otid": otid})
        assert found[0].data
        assert found[0].data["run_id"] == said["run_id"]
    of_nobody = {"agent_id": agent_id, "otid": str(uuid4())}
    assert site.post("/v1/conversations/default/stream", of_nobody).status_code == 404


def test_an_otid_that_stood_for_something_else_is_refused_for_good(site: Site) -> None:
    agent_id = site.agent()
    otid = str(uuid4())
    path = f"/v1/agents/{agent_id}/messages"
    assert site.post(path, {"messages": user(WORDS, otid)}).is_success
    refused = site.post(path, {"messages": user(script([{"text": "other"}]), otid)})
    assert (refused.status_code, refused.headers["x-should-retry"]) == (409, "false")
