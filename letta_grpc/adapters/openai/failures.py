"""Whatever goes wrong with a call → a ModelFailure that a caller may read.

A message says the provider, the status and, unless a key is refused, the vendor's own words; never a key or a header.
`retry_delay_seconds` is set where asking again may help before the answer has begun.
"""

import logging
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urljoin

from letta_grpc.adapters.openai.complaints import Complaint, complaint_of, read_complaint
from letta_grpc.adapters.openai.endpoint import OpenAIEndpoint, public_url
from letta_grpc.adapters.openai.faults import (
    ConnectTimeoutError,
    DisconnectedError,
    HttpError,
    NotHttpError,
    ProxyRefusedError,
    SilenceError,
    UnsafeHeaderError,
    UnusableAddressError,
)
from letta_grpc.domain.errors import (
    ContextWindowExceeded,
    InsufficientCredits,
    InvalidModelOutput,
    ModelAuthFailed,
    ModelBadRequest,
    ModelFailure,
    ModelOverloaded,
    ModelRateLimited,
    ModelTimeout,
)

logger = logging.getLogger(__name__)

_RETRYABLE = (ModelRateLimited, ModelOverloaded, ModelTimeout)
_REDIRECTS = (301, 302, 303, 307, 308)
_LOGGED_CHARACTERS = 2000
_TOLD_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class CallFailures:
    """The failures of one call. `path` is what was asked for under the base URL."""

    endpoint: OpenAIEndpoint
    model: str
    path: str = "chat/completions"

    def refused(self, status: int, headers: Mapping[str, str], body: bytes, now: datetime) -> ModelFailure:
        """Return what an answer with an error status means."""
        logged = self.endpoint.told(body.decode(errors="replace"))[:_LOGGED_CHARACTERS]
        logger.warning("%s refused a call of %s: %s %r", self.endpoint.name, self.model, status, logged)
        if status in _REDIRECTS and (redirect := self._redirect(status, headers.get("location", ""))):
            return redirect
        complaint = read_complaint(body)
        failure = self._failure(complaint.failure_type(status), complaint, status)
        if isinstance(failure, _RETRYABLE):
            failure.retry_delay_seconds = retry_after(headers, now) or 0.0
        return failure

    def in_answer(self, error: Any) -> ModelFailure:  # noqa: ANN401 - a vendor's
        """Return what an error object inside of an answer means."""
        logged = self.endpoint.told(repr(error))[:_LOGGED_CHARACTERS]
        logger.warning("%s ended an answer of %s with an error: %s", self.endpoint.name, self.model, logged)
        complaint = complaint_of(error)
        failure = self._failure(complaint.failure_type(None), complaint, complaint.status)
        if isinstance(failure, _RETRYABLE):
            failure.retry_delay_seconds = 0.0
        return failure

    def unreachable(self, error: HttpError | OSError) -> ModelFailure:
        """Return what it means that there was no answer."""
        logger.warning("%s: a call of %s got no answer: %r", self.endpoint.name, self.model, error)
        name, about = self.endpoint.name, self._metadata(None)
        match error:
            case SilenceError():
                return ModelTimeout(f"{name} sent nothing for {error.seconds:g} seconds", **about)
            case ConnectTimeoutError():
                return self._again(ModelTimeout(f"{name} did not accept a connection in time", **about))
            case ssl.SSLError():
                return ModelOverloaded(f"no secure connection to {name} is possible{_tls_words(error)}", **about)
            case UnusableAddressError() | UnsafeHeaderError():
                return ModelBadRequest(f"{name} cannot be asked: {error}", **about)
            case NotHttpError():
                return self.invalid("no HTTP")
        return self._again(ModelOverloaded(f"{name} {_obstacle(error)}", **about))

    def invalid(self, what: str) -> ModelFailure:
        """Return the failure for an answer that is none."""
        return InvalidModelOutput(f"{self.endpoint.name} sent {what}", **self._metadata(None))

    def cut(self) -> ModelFailure:
        """Return the failure for an answer without an end."""
        return self._again(InvalidModelOutput(f"{self.endpoint.name} ended the answer in the middle", **self._metadata(None)))

    def words(self, complaint: Complaint) -> str:
        """Return as much of a vendor's words as is told."""
        # Before the cut: a key that is cut is none that would be found.
        told = self.endpoint.told(complaint.message)
        return told if len(told) <= _TOLD_CHARACTERS else told[: _TOLD_CHARACTERS - 1] + "…"

    def without_key(self) -> ModelFailure:
        """Return the failure for a call that cannot be made."""
        return ModelAuthFailed(f"no API key for {self.endpoint.name} is configured{self._set_key()}", **self._metadata(None))

    def _failure(self, kind: type[ModelFailure], complaint: Complaint, status: int | None) -> ModelFailure:
        return kind(self._message(kind, complaint, status), **self._metadata(status))

    def _message(self, kind: type[ModelFailure], complaint: Complaint, status: int | None) -> str:
        name, code = self.endpoint.name, f" ({status})" if status else ""
        words = f": {self.words(complaint)}" if complaint.message else ""
        sentences: dict[type[ModelFailure], str] = {
            ModelAuthFailed: f"{name} refuses this{code}{words}",
            InsufficientCredits: f"the account at {name} has no credit{code}{words}",
            ModelRateLimited: f"{name} limits the rate{code}{words}",
            ModelTimeout: f"{name} reports a timeout{code}{words}",
            ContextWindowExceeded: f"the context does not fit {self.model} at {name}{code}{words}",
            ModelBadRequest: f"{name} refused the request{code}{words}",
        }
        if kind is ModelAuthFailed and (status != HTTPStatus.FORBIDDEN or complaint.is_about_key):
            # Of a refused key the vendor's words are left out: some repeat a part of it.
            return f"{name} {'refused the' if self.endpoint.api_key else 'wants an'} API key{code}{self._set_key()}"
        if kind is ModelBadRequest and status == HTTPStatus.NOT_FOUND:
            if complaint.is_about_model(self.model):
                return f"{name} does not know the model {self.model}{code}{words}"
            return f"{name} has nothing at this address{code}: check its base URL (does it end in /v1?){words}"
        return sentences.get(kind, f"{name} is overloaded or failing{code}{words}")

    def _redirect(self, status: int, location: str) -> ModelFailure | None:
        try:
            where = public_url(urljoin(self.endpoint.url(self.path), location))
        except ValueError:
            return None
        if not location or not where.startswith(("http://", "https://")):
            return None
        base = where.removesuffix(f"/{self.path}")
        should = "lead there" if base == where else f"be {base}"
        told = self.endpoint.told(f"{where}: its base URL should {should}")
        return ModelBadRequest(f"{self.endpoint.name} redirects ({status}) to {told}", **self._metadata(status))

    def _metadata(self, status: int | None) -> dict[str, str]:
        known = {"provider": self.endpoint.name, "model": self.model, "status": str(status or "")}
        return {name: value for name, value in known.items() if value}

    def _set_key(self) -> str:
        return f": set {self.endpoint.key_variable}" if self.endpoint.key_variable else ""

    @staticmethod
    def _again(failure: ModelFailure) -> ModelFailure:
        failure.retry_delay_seconds = 0.0
        return failure


def _obstacle(error: HttpError | OSError) -> str:
    match error:
        case DisconnectedError():
            return "closed the connection without an answer"
        case ProxyRefusedError():
            return f"cannot be reached: its proxy does not connect: {error}"
        case socket.gaierror():
            return "cannot be reached: its host name is not known"
        case OSError(errno=int(number)):
            return f"cannot be reached: {os.strerror(number).lower()}"
        case _:
            return "cannot be reached"


def _tls_words(error: ssl.SSLError) -> str:
    """Return what OpenSSL says: of a certificate whole sentences, otherwise a name like WRONG_VERSION_NUMBER."""
    reason = str(getattr(error, "reason", None) or "").replace("_", " ").lower()
    words = str(getattr(error, "verify_message", "") or reason).rstrip(".")
    return f": {words}" if words else ""


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return for how many seconds the vendor asks to be left alone."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if seconds := headers.get("retry-after"):
            return max(0.0, _seconds(seconds, now))
    except (ValueError, TypeError, OverflowError):
        logger.debug("retry-after cannot be read")
    return None


def _seconds(text: str, now: datetime) -> float:
    try:
        return float(text)
    except ValueError:
        return (parsedate_to_datetime(text) - now).total_seconds()
