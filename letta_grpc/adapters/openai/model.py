"""The call of a model: one request, its answer read as it comes."""

import asyncio
import io
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing

import aiohttp

from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.request import encode_request
from letta_grpc.adapters.openai.retries import retry_delay
from letta_grpc.adapters.openai.session import Session
from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import ModelChunk, ModelRequest
from letta_grpc.domain.errors import ModelFailure
from letta_grpc.ports.clock import Clock

logger = logging.getLogger(__name__)

_REDIRECT = 300
_MAX_REFUSAL_BYTES = 64 * 1024
# How long to wait for the end of a response whose answer is complete, so that its connection can be used again.
_DRAIN_SECONDS = 0.25
# aiohttp warns of larger bodies when they are plain bytes.
_MAX_PLAIN_BODY_BYTES = 1024 * 1024


class _StreamOptionsRefusedError(Exception):
    """The vendor does not know `stream_options`."""


class OpenAIModel:
    """The models of one endpoint: `ModelRequest.model` says which."""

    def __init__(self, endpoint: OpenAIEndpoint, session: Session, clock: Clock) -> None:
        self._endpoint = endpoint
        self._session = session
        self._clock = clock
        self._ask_for_usage = True

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Ask the model; before its first token, ask again where that may help.

        Closing the iterator closes the connection, unless the answer is complete.
        """
        failures = CallFailures(self._endpoint, request.model)
        if self._endpoint.lacks_key:
            raise failures.without_key()
        has_begun = False
        retries = 0
        while True:
            try:
                async with aclosing(self._ask(request, failures)) as batches:
                    async for batch in batches:
                        has_begun = True
                        yield batch
            except _StreamOptionsRefusedError:
                logger.info("%s does not know stream_options: asking without", self._endpoint.name)
            except ModelFailure as failure:
                delay = None if has_begun else retry_delay(failure, retries)
                if delay is None:
                    raise
                retries += 1
                logger.info("%s: retry %s in %.2f s after %s", self._endpoint.name, retries, delay, failure.reason)
                await self._clock.sleep(delay)
            else:
                return

    async def _ask(self, request: ModelRequest, failures: CallFailures) -> AsyncGenerator[Sequence[ModelChunk], None]:
        begin = asyncio.get_running_loop().time()
        asks_for_usage = self._ask_for_usage
        response = await self._post(request, failures, asks_for_usage=asks_for_usage)
        try:
            if response.status >= _REDIRECT:
                raise await self._refusal(response, failures, asked_for_usage=asks_for_usage)
            reader = _AnswerReader(response, self._endpoint, failures, begin)
            decoder = StreamDecoder(failures)
            while not decoder.done and (received := await reader.read(may_end=decoder.is_answered)):
                if batch := decoder.feed(received):
                    yield batch
            if batch := decoder.close():
                yield batch
            await reader.drain()
        finally:
            # Of a response that was read to its end the connection is back in the pool, and this does nothing.
            response.close()

    async def _post(self, request: ModelRequest, failures: CallFailures, *, asks_for_usage: bool) -> aiohttp.ClientResponse:
        body = encode_request(
            request,
            token_limit_field="max_completion_tokens" if self._endpoint.name == "openai" else "max_tokens",
            ask_for_usage=asks_for_usage,
        )
        try:
            async with asyncio.timeout(self._endpoint.first_byte_timeout_seconds):
                return await self._session.get().post(
                    self._endpoint.url("chat/completions"),
                    data=io.BytesIO(body) if len(body) > _MAX_PLAIN_BODY_BYTES else body,
                    headers=_call_headers(request.headers),
                    allow_redirects=False,
                )
        # A timeout of aiohttp's is one of connecting, and a TimeoutError as well.
        except (aiohttp.ClientError, ConnectionError) as error:
            raise failures.unreachable(error) from error
        except TimeoutError as error:
            raise failures.silent(self._endpoint.first_byte_timeout_seconds) from error

    async def _refusal(self, response: aiohttp.ClientResponse, failures: CallFailures, *, asked_for_usage: bool) -> Exception:
        try:
            async with asyncio.timeout(self._endpoint.connect_timeout_seconds):
                body = await response.content.read(_MAX_REFUSAL_BYTES)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            body = b""
        if asked_for_usage and response.status in (400, 422) and b"stream_options" in body:
            self._ask_for_usage = False
            return _StreamOptionsRefusedError()
        return failures.refused(response.status, response.headers, body, self._clock.now())


class _AnswerReader:
    """Reads a body as it comes: all that one read from the socket brought is one piece."""

    def __init__(
        self, response: aiohttp.ClientResponse, endpoint: OpenAIEndpoint, failures: CallFailures, begin: float
    ) -> None:
        self._content = response.content
        self._failures = failures
        self._idle_seconds = endpoint.idle_timeout_seconds
        self._first_seconds = endpoint.first_byte_timeout_seconds
        self._first_deadline: float | None = begin + endpoint.first_byte_timeout_seconds

    async def read(self, *, may_end: bool) -> bytes:
        """Return what came; nothing at the end, cut or not. Raises ModelTimeout unless the answer may end here."""
        try:
            async with self._deadline():
                return await self._content.readany()
        except (aiohttp.ClientError, ConnectionError) as error:
            # The decoder knows whether there was anything left to come.
            logger.info("the connection broke: %r", error)
            return b""
        except TimeoutError as error:
            if may_end:
                return b""
            raise self._failures.silent(self._waited()) from error
        finally:
            self._first_deadline = None

    async def drain(self) -> None:
        """Wait a moment for the end of the response."""
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while await self._content.readany():
                    pass
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            pass

    def _deadline(self) -> asyncio.Timeout:
        if self._first_deadline is not None:
            return asyncio.timeout_at(self._first_deadline)
        return asyncio.timeout(self._idle_seconds)

    def _waited(self) -> float:
        return self._idle_seconds if self._first_deadline is None else self._first_seconds


def _call_headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {**headers, "Content-Type": "application/json"}
