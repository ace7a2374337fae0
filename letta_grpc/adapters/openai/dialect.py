"""How one model wants to be asked: what vendors of one protocol do not agree about, and what their refusals tell of it."""

import re
from dataclasses import dataclass, replace

MAX_TOKENS = "max_tokens"
MAX_COMPLETION_TOKENS = "max_completion_tokens"

# Some say of both at once that the number is too large: that is not about the name.
_USE_COMPLETION_TOKENS = re.compile(rb"use \W{0,2}max_completion_tokens\W{0,2} instead", re.IGNORECASE)
_NO_COMPLETION_TOKENS = re.compile(
    rb"(unrecognized|unknown|unsupported|unexpected|extra)[^{}]{0,100}max_completion_tokens"
    rb"|max_completion_tokens[^{}]{0,100}(not permitted|not supported|unsupported|forbidden|use \W{0,2}max_tokens)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`asks_for_usage`: with `stream_options`, without which some vendors count no tokens and which others refuse.

    `returns_reasoning`: messages with calls have their `reasoning_content`, which most vendors refuse, and without which those
    refuse them whose models think between calls (DeepSeek, Kimi). `nine_character_ids`: Mistral takes no other ids of calls.
    """

    limit_field: str = MAX_TOKENS
    asks_for_usage: bool = True
    returns_reasoning: bool = False
    nine_character_ids: bool = False

    def mended(self, refusal: bytes) -> "Dialect":
        """Return the dialect that the body of a refusal asks for, this one if it asks for none."""
        if not self.returns_reasoning and b"reasoning_content" in refusal:
            return replace(self, returns_reasoning=True)
        if b"a-z, A-Z, 0-9, with a length of 9" in refusal:
            return replace(self, nine_character_ids=True)
        if _USE_COMPLETION_TOKENS.search(refusal):
            return replace(self, limit_field=MAX_COMPLETION_TOKENS)
        if self.limit_field == MAX_COMPLETION_TOKENS and _NO_COMPLETION_TOKENS.search(refusal):
            return replace(self, limit_field=MAX_TOKENS)
        # The last, since it is in every request that a refusal may repeat.
        if self.asks_for_usage and b"stream_options" in refusal:
            return replace(self, asks_for_usage=False)
        return self
