"""What a vendor wants to have back with a tool call: the `extra_content` in which Gemini proves that the call is its own.

It is kept like hidden reasoning, as JSON text that says whose it is: `{"type": CALL_PROOF, "index": 0, "id": …,
"extra_content": …}`, with the position of the call in its answer and the id that the vendor gave it.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from letta_grpc.domain.completions import HiddenReasoningChunk
from letta_grpc.domain.messages import ContentPart, RedactedReasoningPart, ToolCall

CALL_PROOF = "tool_call.extra_content"


def kept_proof(index: int, call_id: str | None, extra: dict[str, Any]) -> HiddenReasoningChunk:
    """Return what came with a call as it is kept."""
    return HiddenReasoningChunk(
        orjson.dumps({"type": CALL_PROOF, "index": index, "id": call_id, "extra_content": extra}).decode()
    )


def extras_of(parts: Iterable[ContentPart], calls: Sequence[ToolCall]) -> dict[str, dict[str, Any]]:
    """Return what each call of a message came with, by the call's own id: by the vendor's where it gave one, or by position.

    Calls that somebody had to allow stand behind the others, not where they stood in the answer: only the id finds those.
    """
    proofs = [proof for part in parts if isinstance(part, RedactedReasoningPart) and (proof := _proof(part.data))]
    by_place: dict[Any, dict[str, Any]] = {proof["id"] or proof["index"]: proof["extra_content"] for proof in proofs}
    places = {call.id: (call.provider_id or call.id, index) for index, call in enumerate(calls)}
    return {own: extra for own, (given, index) in places.items() if (extra := by_place.get(given) or by_place.get(index))}


def _proof(text: str) -> dict[str, Any] | None:
    try:
        proof = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    match proof:
        case {"type": str(kind), "index": int(), "id": str() | None, "extra_content": dict()} if kind == CALL_PROOF:
            return dict(proof)
        case _:
            return None
