"""Failures as the SDKs know them: `{"detail": …}`, the reference server's statuses, and `x-should-retry`.

Both SDKs repeat a request, POST included, on 408, 409, 429 and 500 upward, unless the answer says that it would not help.
"""

from collections.abc import Mapping
from typing import Any, Literal

import grpc
from starlette.responses import JSONResponse, Response

from letta_grpc.gateway.failures import Failure, refused

# Where in a request a field stands.
Place = Literal["body", "path", "query"]
NO_RETRY = {"x-should-retry": "false"}
_UNPROCESSABLE = 422
_CONFLICT = 409
# Reasons that have a status of their own here, and the code that programs know them by, where there is one.
_STATUSES: Mapping[str, tuple[int, str | None]] = {
    "APPROVAL_PENDING": (_CONFLICT, "PENDING_APPROVAL"),
    "APPROVAL_EXPIRED": (_CONFLICT, "APPROVAL_EXPIRED"),
    "APPROVAL_ALREADY_RESOLVED": (_CONFLICT, "APPROVAL_ALREADY_RESOLVED"),
    "CONVERSATION_BUSY": (_CONFLICT, "CONVERSATION_BUSY"),
    "RESOURCE_IN_USE": (_CONFLICT, "CONVERSATION_BUSY"),
    "MODEL_UNKNOWN": (404, None),
    "MODEL_RATE_LIMITED": (429, None),
}
# What a client of the SDKs can do then; the server's own words name what only other clients can say. Letta Code looks for the
# calls that wait where it reads `waiting for approval`, as the reference server says.
PENDING = (
    "The agent is waiting for approval of tool calls, or for their returns: send an approval or a return for each, or end the "
    "run that waits by /v1/agents/{agent_id}/messages/cancel with `run_ids`."
)
_BUSY = (
    "The conversation has an active run: wait for its end, or end it by /v1/agents/{agent_id}/messages/cancel with `run_ids`."
)
_WORDS = {"APPROVAL_PENDING": PENDING, "CONVERSATION_BUSY": _BUSY}
# What may go well the next time. A busy conversation queues what comes: only calls that cannot wait are told of it.
_RETRYABLE = frozenset({"CONCURRENT_CHANGE", "STREAM_RECYCLED", "SERVER_DRAINING", "STORE_UNAVAILABLE", "EMBEDDINGS_FAILED"})
_RETRYABLE_STATUSES = frozenset({429, 503})
_TOLD = ("run_id", "tool_call_ids", "active_run_id", "tool_call_id", "request_id")


def told(failure: Failure) -> Response:
    """Return the answer that tells a failure."""
    reason, metadata = failure.reason, failure.facts
    status, code = _STATUSES.get(reason, (failure.http, None))
    detail: Any = failure.message
    if code:
        facts: dict[str, Any] = {name: metadata[name] for name in _TOLD if name in metadata}
        if "active_run_id" in facts:
            facts["run_id"] = facts.pop("active_run_id")
        if "tool_call_ids" in facts:
            facts["tool_call_ids"] = facts["tool_call_ids"].split(",")
        detail = {"code": code, "message": _WORDS.get(reason, failure.message), **facts}
    body = failure.body if isinstance(failure, LettaFailure) else {"detail": detail}
    may_help = reason in _RETRYABLE or (status in _RETRYABLE_STATUSES and not isinstance(failure, LettaFailure))
    return JSONResponse(body, status, {**({} if may_help else NO_RETRY), **failure.headers})


class LettaFailure(Failure):
    """A failure whose body is said as it is."""

    def __init__(self, http: int, body: Mapping[str, Any]) -> None:
        self.body = dict(body)
        super().__init__(grpc.StatusCode.UNKNOWN, str(body.get("detail", "")), http=http)


def conflict(code: str, message: str, **facts: object) -> LettaFailure:
    """Return the failure of a request that does not fit how things stand."""
    return LettaFailure(_CONFLICT, {"detail": {"code": code, "message": message, **facts}})


def unprocessable(field: str, rule: str, place: Place = "body") -> LettaFailure:
    """Return the failure of a request that breaks a rule."""
    return all_unprocessable({field: rule}, place)


def all_unprocessable(rules: Mapping[str, str], place: Place = "body") -> LettaFailure:
    """Return the failure of a request that breaks rules, which stand by the paths of their fields."""
    told = [{"loc": [place, *field.split(".")], "msg": rule, "type": "value_error"} for field, rule in rules.items()]
    return LettaFailure(_UNPROCESSABLE, {"detail": told})


def not_found(message: str) -> Failure:
    """Return the failure of a request for something that does not exist."""
    return refused(message, http=404, code=grpc.StatusCode.NOT_FOUND)


def not_here(message: str) -> LettaFailure:
    """Return the failure of a request for something that this server does not do; it says what to use instead."""
    return LettaFailure(501, {"detail": message})
