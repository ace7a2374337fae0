"""The call of a model: one request, its answer read as it comes."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from functools import partial

from letta_grpc.adapters.openai.dialect import MAX_COMPLETION_TOKENS, MAX_TOKENS, Dialect
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.faults import HttpError, SilenceError
from letta_grpc.adapters.openai.request import encode_request
from letta_grpc.adapters.openai.response import Response
from letta_grpc.adapters.openai.retries import retry_delay
from letta_grpc.adapters.openai.session import Session
from letta_grpc.adapters.openai.stream import StreamDecoder
from letta_grpc.domain.completions import ModelChunk, ModelRequest
from letta_grpc.domain.errors import ModelFailure
from letta_grpc.ports.clock import Clock

logger = logging.getLogger(__name__)

_REDIRECT = 300
# With these a vendor refuses the words of a request.
_REFUSED_WORDING = (400, 422)
_MAX_REFUSAL_BYTES = 64 * 1024
# How long to wait for what comes behind a finish reason: token counts, [DONE].
_REST_SECONDS = 5.0
# How long to wait for the end of a response whose answer is complete, so that its connection can be used again.
_DRAIN_SECONDS = 0.25


class _DialectRefusedError(Exception):
    """The vendor refuses how it was asked, and tells how to ask."""

    def __init__(self, mended: Dialect) -> None:
        super().__init__()
        self.mended = mended


class OpenAIModel:
    """The models of one endpoint: `ModelRequest.model` says which.

    What a refusal tells of a model's dialect is tried at once, and kept for the process' life if the model takes it: a refusal
    may name a field for another reason, or only repeat the request.
    """

    def __init__(self, endpoint: OpenAIEndpoint, session: Session, clock: Clock) -> None:
        self._endpoint = endpoint
        self._session = session
        self._clock = clock
        limit = MAX_COMPLETION_TOKENS if endpoint.name == "openai" else MAX_TOKENS
        self._usual = Dialect(limit_field=limit)
        # By model: the dialects that are not the usual one.
        self._learned: dict[str, Dialect] = {}

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Ask the model; before its first token, ask again where that may help.

        Closing the iterator closes the connection, unless the answer is complete.
        """
        failures = CallFailures(self._endpoint, request.model)
        if self._endpoint.lacks_key:
            raise failures.without_key()
        tried = [self._learned.get(request.model, self._usual)]
        has_begun = False
        retries = 0
        while True:
            try:
                async with aclosing(self._ask(request, tried, failures)) as batches:
                    async for batch in batches:
                        has_begun = True
                        yield batch
            except _DialectRefusedError as refused:
                tried.append(refused.mended)
                logger.info("%s: asking %s once more as %s", self._endpoint.name, request.model, refused.mended)
            except ModelFailure as failure:
                delay = None if has_begun else retry_delay(failure, retries)
                if delay is None:
                    raise
                retries += 1
                logger.info("%s: retry %s in %.2f s after %s", self._endpoint.name, retries, delay, failure.reason)
                await self._clock.sleep(delay)
            else:
                return

    async def _ask(
        self, request: ModelRequest, tried: Sequence[Dialect], failures: CallFailures
    ) -> AsyncGenerator[Sequence[ModelChunk], None]:
        """Ask in the last of the dialects, which the others led to."""
        response = await self._post(partial(self._encode, request, tried[-1]), request, failures)
        try:
            if response.status >= _REDIRECT:
                raise await self._refusal(response, request, tried, failures)
            if len(tried) > 1:
                self._learned[request.model] = tried[-1]
            decoder = StreamDecoder(failures)
            until: float | None = None
            while not decoder.done and (received := await _read(response, failures, until)):
                if batch := decoder.feed(received):
                    yield batch
                # Signs of life alone, behind the finish reason, do not prolong the wait.
                if decoder.is_answered and (batch or until is None):
                    until = asyncio.get_running_loop().time() + _REST_SECONDS
            if batch := decoder.close():
                yield batch
            await _drain(response)
        finally:
            # Of a response that came to its end the connection is back in the pool, and this does nothing to it.
            response.close()

    def _encode(self, request: ModelRequest, dialect: Dialect) -> bytes:
        return encode_request(request, dialect, provider=self._endpoint.name)

    async def _post(self, encode: Callable[[], bytes], request: ModelRequest, failures: CallFailures) -> Response:
        try:
            return await self._session.post(encode, request.headers)
        except (HttpError, OSError) as error:
            raise failures.unreachable(error) from error

    async def _refusal(
        self, response: Response, request: ModelRequest, tried: Sequence[Dialect], failures: CallFailures
    ) -> Exception:
        body = b""
        with suppress(HttpError, TimeoutError):
            async with asyncio.timeout(self._endpoint.connect_timeout_seconds):
                while len(body) < _MAX_REFUSAL_BYTES and (piece := await response.read()):
                    body += piece
        if response.status in _REFUSED_WORDING:
            mended = tried[-1].mended(body)
            # What makes no other request is no other try.
            if mended not in tried and self._encode(request, mended) != self._encode(request, tried[-1]):
                return _DialectRefusedError(mended)
        return failures.refused(response.status, response.headers, body, self._clock.now())


async def _read(response: Response, failures: CallFailures, until: float | None) -> bytes:
    """Return what came; nothing at the end, cut or not, or at the time `until` which the answer may end without more.

    Raises ModelTimeout where it may not.
    """
    try:
        if until is None:
            return await response.read()
        async with asyncio.timeout_at(until):
            return await response.read()
    except TimeoutError:
        return b""
    except SilenceError as error:
        if until is not None:
            return b""
        raise failures.unreachable(error) from error
    except HttpError as error:
        # The decoder knows whether there was anything left to come.
        logger.info("the connection broke: %r", error)
        return b""


async def _drain(response: Response) -> None:
    """Wait a moment for the end of the response."""
    if response.is_complete:
        return
    with suppress(HttpError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while await response.read():
                pass
