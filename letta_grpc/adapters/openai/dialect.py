"""How one model wants to be asked: what vendors of one protocol do not agree about, and what their refusals tell of it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`asks_for_usage`: with `stream_options`, without which some vendors count no tokens and which others refuse.

    `returns_reasoning`: messages with calls have their `reasoning_content`, which most vendors refuse, and without which those
    refuse them whose models think between calls (DeepSeek, Kimi). `nine_character_ids`: Mistral takes no other ids of calls.
    """

    limit_field: str = "max_tokens"
    asks_for_usage: bool = True
    returns_reasoning: bool = False
    nine_character_ids: bool = False

    def mended(self, refusal: bytes) -> "Dialect":
        """Return the dialect that the body of a refusal asks for, this one if it asks for none."""
        if not self.returns_reasoning and b"reasoning_content" in refusal:
            return replace(self, returns_reasoning=True)
        if b"a-z, A-Z, 0-9, with a length of 9" in refusal:
            return replace(self, nine_character_ids=True)
        # The last, since it is in every request that a refusal may repeat.
        if self.asks_for_usage and b"stream_options" in refusal:
            return replace(self, asks_for_usage=False)
        return self
