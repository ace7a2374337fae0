"""Gateways on sockets, and what comes out of them taken apart."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import httpx2

from letta_grpc.gateway.application import gateway_app
from letta_grpc.gateway.descriptors import Contract
from letta_grpc.gateway.options import GatewayOptions
from letta_grpc.gateway.serving import http_serving, listener_on
from tests.support.made_up import Handlers, made_up, serving_made_up


@dataclass(frozen=True, slots=True)
class Event:
    """A server-sent event."""

    id: str | None
    event: str | None
    data: Any


@asynccontextmanager
async def gateway(
    channel: grpc.aio.Channel, options: GatewayOptions | None = None, contract: Contract | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve a gateway on a free port; yield a client of it, which takes nothing compressed."""
    chosen = options or GatewayOptions()
    async with (
        http_serving(gateway_app(channel, chosen, contract), listener_on("127.0.0.1:0"), chosen) as url,
        httpx2.AsyncClient(base_url=url, headers={"accept-encoding": "identity"}, trust_env=False, timeout=20) as client,
    ):
        yield client


@asynccontextmanager
async def made_up_gateway(handlers: Handlers, options: GatewayOptions | None = None) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve a gateway in front of the made-up service."""
    async with serving_made_up(handlers) as channel, gateway(channel, options, made_up()) as client:
        yield client


def blocks_of(text: str) -> Sequence[str]:
    """The blocks of an event stream: events, comments and the retry time."""
    assert text.endswith("\n\n"), text[-200:]
    return text[:-2].split("\n\n")


def events_of(text: str) -> list[Event]:
    """The events of a stream that came whole."""
    return [event_of(block) for block in blocks_of(text) if "data: " in block]


def event_of(block: str) -> Event:
    lines = dict(line.split(": ", 1) for line in block.split("\n"))
    return Event(lines.get("id"), lines.get("event"), json.loads(lines["data"]))


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """The error of an answer, whose code is the answer's."""
    error: dict[str, Any] = response.json()["error"]
    assert error["code"] == response.status_code
    assert response.headers["content-type"] == "application/json"
    return error


def reason_of(error: dict[str, Any]) -> str:
    """The reason of an error."""
    (info,) = (detail for detail in error["details"] if detail["@type"].endswith("google.rpc.ErrorInfo"))
    assert info["domain"] == "letta-grpc"
    reason: str = info["reason"]
    return reason


def fields_in(error: dict[str, Any]) -> dict[str, str]:
    """The broken rules of an error, by field path."""
    (bad,) = (detail for detail in error["details"] if detail["@type"].endswith("google.rpc.BadRequest"))
    return {violation["field"]: violation["description"] for violation in bad["fieldViolations"]}
