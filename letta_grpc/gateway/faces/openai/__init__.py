"""The *openai* face: agents as models, for everything that speaks OpenAI's chat completions.

    POST /v1/chat/completions    streaming and not; `model` is an agent's id
    GET  /v1/models              the agents, oldest first        GET /v1/models/{agent_id}

The last message is what is said to the agent. Of earlier ones only those of role `tool` right before it are looked at, for the
agent remembers the conversation itself; the system prompt and sampling parameters are the agent's own. `tools` are offered
besides the agent's own, for this answer; it calls them where it chooses, and first what `tool_choice` names. `response_format`
is the shape of this answer, which is then the last text alone (`words.py`), `user` and `metadata` are kept with the run,
`Idempotency-Key` makes the start safe to repeat. A request whose agent is at work waits its turn, unless calls come to wait
that need answers before that. Who leaves cancels the run, but for an SDK that has waited as long as it said: it asks again by
itself, and goes on with that run (`repeats.py`).

A stream: chunks in order, the first with the role, all with one id; the reason of the end; usage, if it is asked for; and
always `[DONE]`. Reasoning comes as `reasoning_content`. A run that fails, and a stream that breaks off, are an `error` object
before `[DONE]`, which SDKs raise with its message and code; without streaming it is a status with `x-should-retry: false`,
since a retry would say the message to the agent again. Calls that wait end the answer with `tool_calls`. Messages of role
`tool` answer those of the client's tools, at the end or right before its words; an approval of one of the agent's own tools is
for the native routes. Calls of the client's tools that `tool_choice` had it make need not be answered (`waiting_calls.py`).
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import grpc
import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from letta_grpc.gateway.bodies import aside_of
from letta_grpc.gateway.event_stream import EventStream
from letta_grpc.gateway.face import FaceContext
from letta_grpc.gateway.faces.endpoints import Endpoint, object_in, telling
from letta_grpc.gateway.faces.openai.answers import NO_RETRY, ChatAnswer, ChatChunks, failure_of, refusal, told
from letta_grpc.gateway.faces.openai.models import model_routes
from letta_grpc.gateway.faces.openai.params import in_words_of_chat
from letta_grpc.gateway.faces.openai.repeats import Attempt, Repeats
from letta_grpc.gateway.faces.openai.requests import ChatRequest, chat_request_of
from letta_grpc.gateway.faces.openai.waiting_calls import Responses, WaitingCalls
from letta_grpc.gateway.failures import Failure, refused
from letta_grpc.gateway.formats import DONE, KEEPALIVE, data_of
from letta_grpc.gateway.leaving import unless_left
from letta_grpc.gateway.metadata import metadata_of
from letta_grpc.gateway.turns import Turns

_CHAT, _PROVIDER = "use POST /v1/chat/completions", "ask the provider itself"
# Each with all that is below it, also but a slash.
_ELSEWHERE = {
    "/v1/chat": _CHAT,
    "/v1/responses": _CHAT,
    "/v1/completions": _CHAT,
    "/v1/embeddings": _PROVIDER,
    "/v1/moderations": _PROVIDER,
    "/v1/images": _PROVIDER,
    "/v1/audio": _PROVIDER,
}


def openai(context: FaceContext) -> Sequence[BaseRoute]:
    """Return the face's routes."""
    repeats = Repeats()

    async def complete(request: Request) -> Response:
        body = await object_in(request, context.options)
        attempt = repeats.attempt(request.headers, body)
        wanted = await aside_of(request.scope, chat_request_of, body, attempt.key)
        metadata = metadata_of(request.scope)
        turns = Turns(context.channel, metadata, attempt.leave)

        def in_its_words(failure: Failure) -> Response:
            return refusal(in_words_of_chat(failure, body))

        responses = WaitingCalls(turns, context.channel, metadata).stream_past(wanted)
        if wanted.is_stream:
            return EventStream(_blocks(responses, wanted, attempt), in_its_words)
        try:
            return JSONResponse(await unless_left(request.receive, _completion(responses, wanted)))
        except Failure as failure:
            return in_its_words(failure)

    return (
        Route("/v1/chat/completions", telling(complete, refusal), methods=["POST"]),
        *model_routes(context),
        # SDKs read no failure that is not told in OpenAI's form, and repeat what is 501.
        *(
            Route(below, _elsewhere(instead), methods=["GET", "POST", "DELETE"])
            for path, instead in _ELSEWHERE.items()
            for below in (path, f"{path}/{{rest:path}}")
        ),
    )


def _elsewhere(instead: str) -> Endpoint:
    async def nowhere(request: Request) -> Response:
        message = f"There is no {request.method} {request.url.path} here: {instead}."
        raise refused(message, http=404, code=grpc.StatusCode.NOT_FOUND)

    return telling(nowhere, refusal)


async def _blocks(responses: Responses, request: ChatRequest, attempt: Attempt) -> AsyncGenerator[bytes, None]:
    chunks = ChatChunks(request)
    try:
        async with aclosing(responses):
            async for response in responses:
                block = b"".join([data_of(orjson.dumps(chunk)) for chunk in chunks.of(response.events)])
                if not block and any(event.HasField("heartbeat") for event in response.events):
                    block = KEEPALIVE
                if block:
                    attempt.is_answered = True
                    yield block
                if chunks.is_over:
                    break
    except Failure as failure:
        if not attempt.is_answered:
            raise
        yield data_of(orjson.dumps(told(failure)))
    yield DONE


async def _completion(responses: Responses, request: ChatRequest) -> dict[str, Any]:
    answer = ChatAnswer(request)
    async with aclosing(responses):
        async for response in responses:
            answer.take(response.events)
    if answer.run is None:
        code = grpc.StatusCode.UNAVAILABLE
        raise refused("The stream ended without its run.", http=503, code=code, reason=code.name, headers=NO_RETRY)
    if (failure := failure_of(answer.run)) is not None:
        raise failure
    return answer.completion(answer.run)
