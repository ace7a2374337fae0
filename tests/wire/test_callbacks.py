"""Callers that are told of the end of their run, end to end."""

import asyncio

import pytest
from pydantic import SecretStr
from standardwebhooks import Webhook

from letta_grpc.v1 import run_service_pb2 as pb
from letta_grpc.v1 import runs_pb2
from tests.requirements.registry import requirement
from tests.support.callbacks import SECONDS, receiving
from tests.support.houses import Wire, run_of, talk
from tests.support.wires import failure_of, fields_of
from tests.wire.conftest import Connect

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(60)]


async def callback_of(wire: Wire, run_id: str) -> runs_pb2.Callback:
    """What is kept of a callback, once it was tried."""
    async with asyncio.timeout(SECONDS):
        while not (run := (await wire.runs.GetRun(pb.GetRunRequest(run_id=run_id))).run).callback.attempts:
            pass
    return run.callback


@requirement("callback_told", "callback_again")
async def test_a_receiver_is_told_and_what_it_answered_is_shown(wire: Wire) -> None:
    async with receiving("200 OK") as receiver:
        one = await talk(wire, model="scripted/echo")
        run = run_of(await one.ask("Hi.", callback_url=receiver.url, metadata={"ticket": "7"}))
        told = await receiver.next()
        assert (told["run_id"], told["state"], told["metadata"]) == (run.id, "completed", {"ticket": "7"})
        callback = await callback_of(wire, run.id)
        assert (callback.url, callback.attempts, callback.status_code) == (receiver.url, 1, 200)
        assert not callback.HasField("error")
        # Events are the same bytes for ever: they do not say what came of it.
        assert not run.HasField("callback")


@requirement("callback_traced")
async def test_a_receiver_is_told_in_the_trace_of_whoever_started_the_run(wire: Wire) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    async with receiving() as receiver:
        one = await talk(wire, model="scripted/echo")
        start = pb.CreateRunRequest(agent_id=one.agent_id, run=one.start("Hi.", callback_url=receiver.url).run)
        await wire.runs.CreateRun(start, metadata=(("traceparent", trace),))
        async with asyncio.timeout(SECONDS):
            head, _ = await receiver.got.get()
    assert f"traceparent: {trace}\r\n" in head


@requirement("callback_signed")
async def test_a_receiver_can_tell_that_it_is_this_server_that_tells_it(connect: Connect) -> None:
    old, new = ("whsec_" + character * 32 for character in "ON")
    async with connect(callback_secrets=(SecretStr(old), SecretStr(new))) as wire, receiving() as receiver:
        one = await talk(wire, model="scripted/echo")
        run = run_of(await one.ask("Hi.", callback_url=receiver.url))
        async with asyncio.timeout(SECONDS):
            head, body = await receiver.got.get()
    headers = dict(line.split(": ", 1) for line in head.splitlines()[1:] if line)
    assert headers["webhook-id"] == run.id
    for secret in (old, new):
        assert Webhook(secret).verify(body, headers)["run_id"] == run.id


async def test_without_a_secret_nothing_is_signed(wire: Wire) -> None:
    async with receiving() as receiver:
        one = await talk(wire, model="scripted/echo")
        await one.ask("Hi.", callback_url=receiver.url)
        async with asyncio.timeout(SECONDS):
            head, _ = await receiver.got.get()
    assert "webhook-" not in head.lower()


@requirement("callback_addresses")
async def test_a_private_receiver_is_refused_where_others_can_connect(connect: Connect) -> None:
    async with connect(callback_private_addresses=False) as wire:
        one = await talk(wire, model="scripted/echo")
        refused = await failure_of(one.ask("Hi.", callback_url="http://127.0.0.1:9/told"))
        assert "LETTA_GRPC_CALLBACK_PRIVATE_ADDRESSES" in fields_of(refused)["run.callback_url"]


@pytest.mark.parametrize("url", ["", "example.com", "ftp://example.com/x", "http://[", "https://" + "x" * 2048])
async def test_what_is_no_web_address_is_refused(wire: Wire, url: str) -> None:
    one = await talk(wire, model="scripted/echo")
    refused = await failure_of(one.ask("Hi.", callback_url=url))
    assert "run.callback_url" in fields_of(refused)
