"""Where our answers differ from the transcripts on purpose. Each is SDK-safe; nothing else may differ."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.support.golden import Shape

Shapes = list[Shape]


class Improvement(NamedTuple):
    """A difference: what is better, and what it makes of the reference server's stream."""

    why: str
    applied: Callable[[Shapes], Shapes]


def _is(kind: str) -> Callable[[Shape], bool]:
    return lambda item: item.get("message_type") == kind


def _numbered(stream: Shapes) -> Shapes:
    return [item | ({"seq_id": "number"} if "seq_id" in item else {}) for item in stream]


def _one_ping(stream: Shapes) -> Shapes:
    head = [item for item in stream if _is("ping")(item)][:1]
    return head + [item for item in stream if not _is("ping")(item)]


def _absent_counts(stream: Shapes) -> Shapes:
    counts = ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
    return [item | (dict.fromkeys(counts) if _is("usage_statistics")(item) else {}) for item in stream]


_USAGE: Mapping[str, object] = {
    "event": None,
    "message_type": "usage_statistics",
    "completion_tokens": "number",
    "prompt_tokens": "number",
    "total_tokens": "number",
    "step_count": "number",
    "run_ids": None,
    "cached_input_tokens": None,
    "cache_write_tokens": None,
    "reasoning_tokens": None,
    "context_tokens": None,
}


def _usage_always(stream: Shapes) -> Shapes:
    if any(map(_is("usage_statistics"), stream)):
        return stream
    end = next((place for place, item in enumerate(stream) if _is("stop_reason")(item)), len(stream) - 1)
    return [*stream[: end + 1], dict(_USAGE), *stream[end + 1 :]]


def _done_always(stream: Shapes) -> Shapes:
    done: Shape = {"event": None, "done": True}
    # A resumed stream of theirs says it twice.
    while stream and stream[-1] == done:
        stream = stream[:-1]
    return [*stream, done]


def _own_id(stream: Shapes) -> Shapes:
    said = {item["id"] for item in stream if _is("assistant_message")(item)}
    return [_below(item) if _is("approval_request_message")(item) and item["id"] in said else item for item in stream]


def _below(item: Shape) -> Shape:
    return item | dict.fromkeys(("id", "otid"), f"{item['id']}-1")


IMPROVEMENTS: Sequence[Improvement] = (
    Improvement("every stream is numbered and can be resumed, not only background ones", _numbered),
    Improvement("what asks has the id below the words' in both modes, as it is kept, not in tokens alone", _own_id),
    Improvement("a tool takes no 20 s to start, so nothing is silent for so long that it needs a ping", _one_ping),
    Improvement("a count that the provider did not report is null in both modes, never a made-up 0", _absent_counts),
    Improvement("cancelled and failed runs tell their usage, too, before the error that ends the reading", _usage_always),
    Improvement("every stream ends with one [DONE], also a cancelled one", _done_always),
)


def improved(stream: Shapes) -> Shapes:
    """Return what our stream looks like, where the reference server's looks like this."""
    for improvement in IMPROVEMENTS:
        stream = improvement.applied(stream)
    return stream
