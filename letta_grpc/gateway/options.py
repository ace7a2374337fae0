"""What a gateway is told when it is made."""

from dataclasses import dataclass, field

# What people and programs write is longer: the messages of agent files have 20 bytes and more to a value, with its name.
_BYTES_A_VALUE = 16
_FEW_VALUES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayOptions:
    """Limits and names. Sizes are in bytes.

    `cors_origins`: pages of these origins may call; none by default. `any_host`: whether requests may name any host; if not,
    only this machine's, as a page that points its own name at us (DNS rebinding) cannot. `body_seconds`: how long a body may
    take, beside a second for every 32 KiB that have come. `opening_seconds`: how long a stream that the server has accepted
    may be silent before its headers go out without an event. `return_seconds`: how long a stream that is asked for by GET
    waits for a server that is away; 0 where it is this process. `chat_model`: the model of the agent that `/chat` makes.
    `anthropic_…`: where `/v1/anthropic` leads, and the key for callers who show none of their own.
    """

    cors_origins: tuple[str, ...] = ()
    any_host: bool = False
    max_body_bytes: int = 8 * 1024 * 1024
    max_json_depth: int = 64
    max_head_bytes: int = 32 * 1024
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    keep_alive_seconds: int = 60
    opening_seconds: float = 1.0
    return_seconds: float = 0.0
    retry_ms: int = 1000
    chat_model: str = "scripted/echo"
    anthropic_base_url: str = "https://api.anthropic.com"
    anthropic_api_key: str | None = field(default=None, repr=False)

    @property
    def max_json_values(self) -> int:
        """How many values the JSON of a body may have: each is an object in memory, however few bytes it takes on the way."""
        return max(_FEW_VALUES, self.max_body_bytes // _BYTES_A_VALUE)
