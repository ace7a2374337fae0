"""Token counts in the spellings of the vendors."""

import re
from typing import Any

from letta_grpc.domain.usage import Usage

_DIGITS = re.compile(r"[0-9]{1,15}")
# Infinity is none, and 1e300 neither.
_MOST = 2**53


def usage_of(reported: Any) -> Usage:  # noqa: ANN401 - a vendor's
    """Return what was reported; whatever is no count is not reported."""
    if not isinstance(reported, dict):
        return Usage()
    prompt = _dict(reported.get("prompt_tokens_details"))
    completion = _dict(reported.get("completion_tokens_details"))
    prompt_tokens, completion_tokens = _count(reported, "prompt_tokens"), _count(reported, "completion_tokens")
    total = _first(_count(reported, "total_tokens"), _sum(prompt_tokens, completion_tokens))
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=total,
        # The second spelling of each is DeepSeek's, Anthropic's behind a proxy, and OpenRouter's.
        cached_input_tokens=_first(_count(prompt, "cached_tokens"), _count(reported, "prompt_cache_hit_tokens")),
        cache_write_tokens=_first(_count(prompt, "cache_write_tokens"), _count(reported, "cache_creation_input_tokens")),
        reasoning_tokens=_first(_count(completion, "reasoning_tokens"), _count(reported, "reasoning_tokens")),
        context_tokens=_sum(prompt_tokens, completion_tokens),
    )


def _dict(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a vendor's
    return value if isinstance(value, dict) else {}


def _count(counts: dict[str, Any], name: str) -> int | None:
    value = counts.get(name)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    # The comparison is false for NaN, too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _MOST:
        return None
    return int(value)


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


def _sum(left: int | None, right: int | None) -> int | None:
    return None if left is None or right is None else left + right
