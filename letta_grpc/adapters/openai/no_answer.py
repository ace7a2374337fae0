"""Errors that vendors send in place of an answer, under a status that says that all is well."""

from typing import Any

# MiniMax's numbers, in the words that other vendors have for the same.
_MINIMAX_CODES = {
    1001: "timeout",
    1002: "rate_limit_exceeded",
    1004: "authentication_error",
    1008: "insufficient_balance",
    1039: "rate_limit_exceeded",
    2013: "invalid_request_error",
    2049: "invalid_api_key",
}


def complaint_in(chunk: dict[str, Any], *, is_whole: bool) -> dict[str, Any] | None:
    """Return the error object in a chunk without choices, None if it has none.

    `is_whole`: the chunk is all that came; then its words are a complaint, not some vendor's sign of life.
    """
    match chunk.get("base_resp"):
        case {"status_code": int(code), **others} if code:
            return {"message": others.get("status_msg"), "code": _MINIMAX_CODES.get(code)}
    complains = is_whole and any(chunk.get(field) for field in ("detail", "message", "msg"))
    return chunk if complains or chunk.get("object") == "error" else None
