"""Sending messages, and the three ways to be answered: whole, as it comes, or later."""

from dataclasses import replace

from starlette.responses import Response

from letta_grpc.gateway.faces.letta.fields import text
from letta_grpc.gateway.faces.letta.modes import View, hidden_returns
from letta_grpc.gateway.faces.letta.operations import Ask, Json
from letta_grpc.gateway.faces.letta.shapes.runs import BACKGROUND, run_json
from letta_grpc.gateway.faces.letta.starts import begin, options_of, start_in, view_in
from letta_grpc.gateway.faces.letta.streams import LettaEventStream, whole_answer
from letta_grpc.gateway.faces.letta.targets import Target
from letta_grpc.v1 import run_service_pb2


async def answered(ask: Ask, target: Target, *, streaming: bool) -> Json | Response:
    """Send a request's messages; answer with the stream, or with the whole. Raises Failure."""
    start = await start_in(ask, target)
    view = replace(view_in(ask.body), hidden_returns=hidden_returns(start.run.metadata))
    if streaming:
        return LettaEventStream(await begin(ask, start, options_of(view)), view)
    whole = replace(view, tokens=False)
    return await whole_answer(await begin(ask, start, options_of(whole)), whole)


async def accepted(ask: Ask, target: Target) -> Json:
    """Send a request's messages; answer with the run at once. Raises Failure."""
    start = await start_in(ask, target)
    start.run.metadata[BACKGROUND] = "true"
    if url := text(ask.body, "callback_url"):
        start.run.callback_url = url
    following = await begin(ask, start, options_of(View()))
    following.close()
    request = run_service_pb2.GetRunRequest(run_id=following.run_id)
    return run_json((await ask.call(ask.services.runs.GetRun, request)).run)
