"""How one model wants to be asked: what vendors of one protocol do not agree about, and what their refusals tell of it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`asks_for_usage`: with `stream_options`, without which some vendors count no tokens and which others refuse."""

    limit_field: str = "max_tokens"
    asks_for_usage: bool = True

    def mended(self, refusal: bytes) -> "Dialect":
        """Return the dialect that the body of a refusal asks for, this one if it asks for none."""
        if self.asks_for_usage and b"stream_options" in refusal:
            return replace(self, asks_for_usage=False)
        return self
