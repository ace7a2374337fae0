"""OpenRouter's `reasoning_details`: pieces of reasoning with what proves them, from a stream and back into a request.

Proof and hidden reasoning are kept as the JSON text of the vendor's own object, so that it gets back every field that it gave.
What proves a call (`call_proofs.py`) is kept among them and no detail.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from letta_grpc.adapters.openai.call_proofs import CALL_PROOF
from letta_grpc.adapters.openai.deltas import Batch
from letta_grpc.domain.completions import (
    HiddenReasoningChunk,
    ReasoningChunk,
    ReasoningSealChunk,
    ReasoningSummaryChunk,
)
from letta_grpc.domain.messages import ContentPart, ReasoningPart, RedactedReasoningPart

_READABLE = "reasoning.text"
_ENCRYPTED = "reasoning.encrypted"


def take_details(details: Iterable[dict[str, Any]], batch: Batch) -> None:
    """Add the pieces of one delta."""
    for detail in details:
        if detail.get("data"):
            batch.whole(HiddenReasoningChunk(orjson.dumps(detail).decode()))
            continue
        if text := detail.get("text"):
            batch.words(ReasoningChunk, str(text))
        elif summary := detail.get("summary"):
            batch.words(ReasoningSummaryChunk, str(summary))
        elif detail.get("type") == _ENCRYPTED:
            batch.whole(HiddenReasoningChunk(None))
        if detail.get("signature"):
            proof = {name: value for name, value in detail.items() if name != "text"}
            batch.whole(ReasoningSealChunk(orjson.dumps(proof).decode()))


def details_of(parts: Iterable[ContentPart]) -> Iterator[dict[str, Any]]:
    """Yield what the vendor wants to have back of a message that it wrote."""
    for part in parts:
        match part:
            case ReasoningPart(text=text, signature=signature) if proof := _object(signature):
                yield {"type": _READABLE, **proof, "text": text}
            case RedactedReasoningPart(data=data) if (detail := _object(data)) and detail.get("type") != CALL_PROOF:
                yield {"type": _ENCRYPTED, **detail}


def plain_reasoning(parts: Iterable[ContentPart]) -> str:
    """Return what a model thought in words, as it stands in `reasoning_content`."""
    return "".join(part.text for part in parts if isinstance(part, ReasoningPart))


def _object(text: str) -> dict[str, Any] | None:
    """Return the vendor's object, None for a proof that some other API gave."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None
