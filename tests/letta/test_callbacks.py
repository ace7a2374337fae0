"""Who starts a run and goes away is called back when it has ended."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import letta_client
import pytest
from letta_client import AsyncLetta

from tests.support.callbacks import SECONDS, WebReceiver, receiving
from tests.support.letta import TOOL, Client, Site, call, script, serving_site, user

WORDS = script([{"text": "one two"}])


@asynccontextmanager
async def talking(site: Site, *answers: str) -> AsyncIterator[tuple[Client, WebReceiver]]:
    async with receiving(*answers) as receiver, AsyncLetta(base_url=site.url, max_retries=0) as client:
        yield client, receiver


async def told(client: Client, run_id: str) -> Any:  # noqa: ANN401 - one of the SDK's types
    """A run, once what came of its callback is stored."""
    async with asyncio.timeout(SECONDS):
        while not (run := await client.runs.retrieve(run_id)).callback_sent_at:
            pass
    return run


async def test_who_starts_a_run_is_called_back_at_its_end(site: Site) -> None:
    async with talking(site) as (client, receiver):
        url = f"{receiver.url}?key=1"
        run = await client.agents.messages.create_async(site.agent(), messages=user(WORDS), callback_url=url)
        assert (run.callback_url, run.callback_sent_at) == (url, None)
        body = await receiver.next()
        assert (body["run_id"], body["status"], body["stop_reason"]) == (run.id, "completed", "end_turn")
        assert body["completed_at"]
        done = await told(client, run.id)
        assert (done.callback_url, done.callback_status_code, done.callback_error) == (url, 204, None)


async def test_a_failed_run_calls_back_too_and_a_refusal_is_kept(site: Site) -> None:
    async with talking(site, "410 Gone") as (client, receiver):
        text = script([{"error": "MODEL_TIMEOUT"}])
        run = await client.agents.messages.create_async(site.agent(), messages=user(text), callback_url=receiver.url)
        body = await receiver.next()
        assert (body["status"], body["error"]["reason"]) == ("failed", "MODEL_TIMEOUT")
        assert (await told(client, run.id)).callback_status_code == 410


async def test_a_run_that_waits_for_approval_calls_back_as_completed(site: Site) -> None:
    async with talking(site) as (client, receiver):
        agent_id = site.agent(toolApprovals={TOOL: True})
        await client.agents.messages.create_async(agent_id, messages=user(script([call()])), callback_url=receiver.url)
        body = await receiver.next()
        assert (body["status"], body["stop_reason"]) == ("completed", "requires_approval")


async def test_the_next_server_calls_back_for_a_run_that_the_last_one_left(tmp_path: Path) -> None:
    async with receiving() as receiver:
        with serving_site(tmp_path) as site:
            text = script([{"text": "So "}, {"delay_ms": 3000}, {"text": "on."}])
            path = f"/v1/agents/{site.agent()}/messages/async"
            run = site.post(path, {"messages": user(text), "callback_url": receiver.url}).json()
        assert receiver.got.empty()
        with serving_site(tmp_path):
            assert (await receiver.next())["run_id"] == run["id"]


@pytest.mark.parametrize("url", ["ftp://example.com/", "example.com", "http://", "http://" + "x" * 3000])
async def test_what_is_no_web_address_starts_nothing(site: Site, url: str) -> None:
    agent_id = site.agent()
    async with AsyncLetta(base_url=site.url, max_retries=0) as client:
        with pytest.raises(letta_client.BadRequestError, match="callback_url"):
            await client.agents.messages.create_async(agent_id, messages=user(WORDS), callback_url=url)  # type: ignore[arg-type]  # as JSON
    assert site.get("/v1/runs/", agent_id=agent_id) == []


def test_a_server_that_others_reach_calls_no_private_address(tmp_path: Path) -> None:
    with serving_site(tmp_path, "--callback-private-addresses", "false") as site:
        agent_id = site.agent()
        body = {"messages": user(WORDS), "callback_url": "http://127.0.0.1:9/told"}
        refused = site.post(f"/v1/agents/{agent_id}/messages/async", body)
        assert (refused.status_code, refused.headers["x-should-retry"]) == (400, "false")
        assert "LETTA_GRPC_CALLBACK_PRIVATE_ADDRESSES" in refused.json()["detail"]
        assert site.get("/v1/runs/", agent_id=agent_id) == []
