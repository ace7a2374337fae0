"""What programs that speak Anthropic's Messages API through the gateway can rely on."""

REQUIREMENTS = {
    "anthropic_sdk": "The official SDK works through it, streaming and not.",
    "anthropic_bytes": "Status, headers and body go through as they are, and as they come.",
    "anthropic_keys": "The caller's key goes first; the gateway's own, or another upstream, is for whom the server knows.",
    "anthropic_strangers": "Nothing of one caller's goes with another's request.",
    "anthropic_capture": "What was said is kept by the caller's capture agent.",
    "anthropic_aside": "Capturing neither delays nor breaks what goes through.",
}
