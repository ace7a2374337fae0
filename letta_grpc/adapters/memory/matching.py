"""Word search: what a query matches, ranked as full-text engines do (BM25)."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from letta_grpc.domain.words import count_phrase, phrases_of, words_of

T = TypeVar("T")

_SATURATION = 1.2
_LENGTH_WEIGHT = 0.75
# A phrase that most texts have says next to nothing.
_LEAST_WEIGHT = 1e-6


def best_matches(
    items: Iterable[T], text_of: Callable[[T], str], query: str, is_wanted: Callable[[T], bool], limit: int
) -> tuple[T, ...]:
    """Return the wanted items that have all of the query's words, best first. `items` are newest first."""
    everything = list(items)
    phrases = phrases_of(query)
    if not phrases:
        return () if query.strip() else tuple(filter(is_wanted, everything))[:limit]
    texts = [words_of(text_of(item)) for item in everything]
    counts = [[count_phrase(words, phrase) for phrase in phrases] for words in texts]
    weights = [_weight(sum(1 for each in counts if each[at]), len(texts)) for at in range(len(phrases))]
    average = sum(map(len, texts)) / max(1, len(texts))
    found = [
        (_score(each, weights, len(words) / average), item)
        for item, words, each in zip(everything, texts, counts, strict=True)
        if all(each) and is_wanted(item)
    ]
    found.sort(key=lambda pair: pair[0], reverse=True)
    return tuple(item for _, item in found[:limit])


def _weight(having: int, total: int) -> float:
    return max(_LEAST_WEIGHT, math.log((total - having + 0.5) / (having + 0.5)))


def _score(counts: Sequence[int], weights: Sequence[float], relative_length: float) -> float:
    damping = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * relative_length)
    return sum(weight * count * (_SATURATION + 1) / (count + damping) for count, weight in zip(counts, weights, strict=True))
