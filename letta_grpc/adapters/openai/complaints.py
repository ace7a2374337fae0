"""What vendors write when they refuse: their many shapes → one, and what it means."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from letta_grpc.domain.errors import (
    ContextWindowExceeded,
    InsufficientCredits,
    ModelAuthFailed,
    ModelBadRequest,
    ModelFailure,
    ModelOverloaded,
    ModelRateLimited,
    ModelTimeout,
)

# Whatever the status: these say more than it does.
_DECISIVE: dict[type[ModelFailure], frozenset[str]] = {
    InsufficientCredits: frozenset(
        {
            "insufficient_quota",
            "insufficient_balance",
            "insufficient_credits",
            "billing_hard_limit_reached",
            "billing_not_active",
        }
    ),
    ContextWindowExceeded: frozenset(
        {
            "context_length_exceeded",
            "exceed_context_size_error",
            "model_context_window_exceeded",
            "request_too_large",
            "tokens_limit_reached",
        }
    ),
    ModelAuthFailed: frozenset({"invalid_api_key", "api_key_invalid", "authentication_error", "unauthenticated"}),
}
# Each as several vendors write it: the words between differ.
_CONTEXT_WORDS = (
    r"exceed\w* (?:[\w']+ ){0,4}context (?:size|window|length|limit)",
    r"max(?:imum)? (?:context|prompt|input) length",
    r"(?:longer|greater) than the (?:model's )?(?:maximum )?(?:model|context) length",
    r"context length (?:is|of) only",
    r"context ?window ?exceed",
    r"prompt (?:is )?too long|input is too long for|prompt exceeds max(?:imum)? length",
    # Gemini, Kimi, Cohere, Volcengine.
    r"exceeds the maximum number of tokens|exceeded model token limit",
    r"number of tokens in the prompt cannot exceed|exceed max message tokens",
    # Copilot. So much output is no context, and so much in a minute a rate.
    r"(?<!output )(?<!completion )\btokens?\b[^.]{0,60} exceeds the limit of [\d,]++(?! (?:tokens )?(?:per|/|tp[md]))",
    # Groq and vLLM, Mistral, TGI, DashScope.
    r"reduce the length of the (?:messages|input|prompt)|too large for model with",
    r"`inputs` tokens \+ `max_new_tokens` must be <=|`inputs` must have less than|range of input length should be",
)
_CONTEXT = re.compile("|".join(_CONTEXT_WORDS))
# How much output was asked for, and how much there is room for, beside or in a sum: vLLM's, Anthropic's.
_OUTPUT = re.compile(r"(\d+) (?:output tokens|(?:tokens )?(?:in|for) the (?:completion|output)|`max_new_tokens`)")
_WINDOW = re.compile(r"(?:context length (?:is|of)(?: only)?|must be <=) (\d+)")
_SUM = re.compile(r"(?:\((?=\d+ > \d+ - )|\d+ \+ )(\d+) > (\d+)")
_CREDIT_PHRASES = ("credit balance is too low", "insufficient balance", "insufficient credits")
_KEY_PHRASES = ("api key not valid", "invalid api key", "incorrect api key")
_KEY = re.compile(r"\bapi[ _-]?keys?\b|credential|authenticat|unauthori[sz]ed|\bbearer\b|\bauth\b")
# Where there is no status: an error inside of a stream.
_BY_CODE: dict[type[ModelFailure], frozenset[str]] = {
    ModelRateLimited: frozenset({"rate_limit_exceeded", "rate_limit_error", "resource_exhausted", "too_many_requests"}),
    ModelTimeout: frozenset({"timeout", "timeout_error", "deadline_exceeded"}),
    ModelBadRequest: frozenset(
        {"invalid_request_error", "invalid_argument", "badrequesterror", "not_found_error", "model_not_found", "notfounderror"}
    ),
}
_BY_STATUS: dict[int, type[ModelFailure]] = {
    401: ModelAuthFailed,
    402: InsufficientCredits,
    403: ModelAuthFailed,
    408: ModelTimeout,
    413: ContextWindowExceeded,
    429: ModelRateLimited,
    504: ModelTimeout,
}
_SERVER_FAULT = 500
# What stands further behind may be the request itself, repeated.
_READ_CHARACTERS = 1000


@dataclass(frozen=True, slots=True)
class Complaint:
    """A vendor's words, whole, in one line. `codes` in lower case; `status` where the text itself names one."""

    message: str = ""
    codes: frozenset[str] = frozenset()
    status: int | None = None

    def failure_type(self, status: int | None) -> type[ModelFailure]:
        """Return what it means, in an answer with this status, or inside of a stream."""
        status = status or self.status
        return self._decisive() or (self._by_code() if status is None else _by_status(status))

    @property
    def is_about_key(self) -> bool:
        """Whether it speaks of a key, of which it may repeat a part, or says nothing."""
        return not self.message or bool(_KEY.search(self.message.lower()) or self.codes & _DECISIVE[ModelAuthFailed])

    def is_about_model(self, name: str) -> bool:
        """Whether it speaks of the model of this name."""
        words = self.message.lower()
        named = name.lower() in (word.strip("`'\".,:;()") for word in words.split())
        return named or "model" in words or "model_not_found" in self.codes

    def _decisive(self) -> type[ModelFailure] | None:
        message = self.message[:_READ_CHARACTERS].lower()
        if any(phrase in message for phrase in _CREDIT_PHRASES):
            return InsufficientCredits
        if _CONTEXT.search(message):
            # A shorter context would not help.
            return ModelBadRequest if _output_fills_window(message) else ContextWindowExceeded
        if any(phrase in message for phrase in _KEY_PHRASES):
            return ModelAuthFailed
        return self._row_of(_DECISIVE)

    def _by_code(self) -> type[ModelFailure]:
        return self._row_of(_BY_CODE) or ModelOverloaded

    def _row_of(self, table: dict[type[ModelFailure], frozenset[str]]) -> type[ModelFailure] | None:
        return next((meaning for meaning, codes in table.items() if codes & self.codes), None)


def _output_fills_window(message: str) -> bool:
    if terms := _SUM.search(message):
        return int(terms[1]) >= int(terms[2])
    output, window = _OUTPUT.search(message), _WINDOW.search(message)
    return output is not None and window is not None and int(output[1]) >= int(window[1])


def _by_status(status: int) -> type[ModelFailure]:
    return _BY_STATUS.get(status) or (ModelOverloaded if status >= _SERVER_FAULT else ModelBadRequest)


def read_complaint(body: bytes) -> Complaint:
    """Return what the body of a refusal says: JSON, or a plain text. A page has nothing to say."""
    try:
        return complaint_of(orjson.loads(body))
    except orjson.JSONDecodeError:
        return Complaint(_plain_text(body))
    except RecursionError:
        return Complaint()


def _plain_text(body: bytes) -> str:
    try:
        text = _line(body.decode())
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() and not text.startswith(("<", "{", "[")) else ""


def complaint_of(error: Any) -> Complaint:  # noqa: ANN401 - a vendor's
    """Return what an error object says: OpenAI's, or a text, a list, an object in an object."""
    match error:
        case str():
            return Complaint(_line(error))
        case [first, *_]:
            return complaint_of(first)
        case {"error": dict() | str() | list() as inner}:
            return complaint_of(inner)
        case dict():
            words = ": ".join(filter(None, (_message(error), _passed_on(error))))
            return Complaint(_line(words), frozenset(_codes(error)), _status(error))
        case _:
            return Complaint()


def _message(error: dict[str, Any]) -> str:
    text = error.get("message") or error.get("detail") or error.get("msg") or ""
    return text if isinstance(text, str) else orjson.dumps(text).decode()


def _passed_on(error: dict[str, Any]) -> str:
    """Return the words of the vendor behind OpenRouter. Not its codes: they are about another's account."""
    match error.get("metadata"):
        case {"raw": str(raw)}:
            return read_complaint(raw.encode(errors="replace")).message
        case {"raw": raw}:
            return complaint_of(raw).message
        case _:
            return ""


def _codes(error: dict[str, Any]) -> Iterator[str]:
    for field in ("code", "type", "status"):
        if isinstance(value := error.get(field), str):
            yield value.lower()


def _status(error: dict[str, Any]) -> int | None:
    """Return the HTTP status that vendors put into `code`, as a number or as its digits."""
    text = str(error.get("code") or error.get("status") or "")
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else None  # noqa: PLR2004 - a status's digits


def _line(message: str) -> str:
    """Return it in one line that can be sent: a vendor's cut leaves half a character."""
    return " ".join(message.encode(errors="replace").decode().split())
