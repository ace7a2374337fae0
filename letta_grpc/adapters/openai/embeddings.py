"""Embeddings, as every OpenAI-compatible endpoint gives them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import orjson

from letta_grpc.adapters.openai.complaints import read_complaint
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint
from letta_grpc.adapters.openai.failures import CallFailures
from letta_grpc.adapters.openai.faults import HttpError
from letta_grpc.adapters.openai.response import Response
from letta_grpc.adapters.openai.session import Session
from letta_grpc.domain.errors import EmbeddingsFailed
from letta_grpc.ports.embeddings import TextRefusedError

# What is wrong with these is what was sent.
_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY)
# 64 vectors of 4096 numbers, as text.
_MAX_ANSWER_BYTES = 16 * 2**20


class OpenAIEmbeddings:
    """One embedding model of an endpoint."""

    def __init__(self, endpoint: OpenAIEndpoint, model: str) -> None:
        self._endpoint = endpoint
        self._model = model
        self._session = Session(endpoint, "embeddings")
        self._failures = CallFailures(endpoint, model, "embeddings")

    @property
    def handle(self) -> str:
        """Its name, `provider/model`."""
        return f"{self._endpoint.name}/{self._model}"

    async def embed(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Return a vector for each text, in order. Raises EmbeddingsFailed, TextRefusedError."""
        body = orjson.dumps({"model": self._model, "input": list(texts), "encoding_format": "float"})
        try:
            response = await self._session.post(lambda: body, {})
            try:
                answer = await _whole(response)
            finally:
                response.close()
        except (HttpError, OSError) as error:
            raise self._failure("gave no answer") from error
        if response.status in _REFUSALS:
            raise TextRefusedError(f"{self._endpoint.name} refused it ({response.status})")
        if response.status != HTTPStatus.OK:
            refused = self._failures.refused(response.status, response.headers, answer, datetime.now(UTC))
            raise EmbeddingsFailed(refused.message, model=self.handle)
        return self._read(answer, len(texts))

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    def _read(self, answer: bytes, count: int) -> tuple[tuple[float, ...], ...]:
        try:
            items = sorted(enumerate(orjson.loads(answer)["data"]), key=_place)
            vectors = tuple(tuple(map(float, item["embedding"])) for _, item in items)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            words = self._failures.words(read_complaint(answer))
            raise self._failure(f"sent no embeddings: {words}" if words else "sent no embeddings") from error
        if len(vectors) != count or len({len(vector) for vector in vectors}) != 1:
            raise self._failure(f"sent {len(vectors)} embeddings for {count} texts, or some of another length")
        return vectors

    def _failure(self, what: str) -> EmbeddingsFailed:
        return EmbeddingsFailed(f"{self._endpoint.name} {what}", model=self.handle)


def _place(item: tuple[int, Any]) -> int:
    """Return which text a vector is for. Servers that leave that out send them in order."""
    number, vector = item
    return int(vector["index"]) if vector.get("index") is not None else number


async def _whole(response: Response) -> bytes:
    pieces = bytearray()
    while len(pieces) < _MAX_ANSWER_BYTES and (piece := await response.read()):
        pieces += piece
    return bytes(pieces)
