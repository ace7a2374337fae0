"""Runs, their steps and what they used."""

from collections.abc import Collection
from typing import Any

from letta_grpc.gateway.faces.letta.shapes.times import nanoseconds, timestamp_of
from letta_grpc.v1 import errors_pb2
from letta_grpc.v1 import runs_pb2 as pb

_STATUSES = {
    pb.RUN_STATE_QUEUED: "created",
    pb.RUN_STATE_RUNNING: "running",
    pb.RUN_STATE_COMPLETED: "completed",
    pb.RUN_STATE_INTERRUPTED: "completed",
    pb.RUN_STATE_FAILED: "failed",
    pb.RUN_STATE_CANCELLED: "cancelled",
}
# How a step ended with which its run ended, unless it succeeded.
_STEP_STATUSES = {pb.RUN_STATE_FAILED: "failed", pb.RUN_STATE_CANCELLED: "cancelled"}
STOP_REASONS = {
    pb.STOP_REASON_END_TURN: "end_turn",
    pb.STOP_REASON_MAX_STEPS: "max_steps",
    pb.STOP_REASON_MAX_TOKENS: "max_tokens_exceeded",
    pb.STOP_REASON_TOOL_RULE: "tool_rule",
    pb.STOP_REASON_REQUIRES_APPROVAL: "requires_approval",
    pb.STOP_REASON_REQUIRES_CLIENT_TOOL: "requires_approval",
    pb.STOP_REASON_CANCELLED: "cancelled",
    pb.STOP_REASON_TIMEOUT: "error",
    pb.STOP_REASON_MODEL_ERROR: "llm_api_error",
    pb.STOP_REASON_INVALID_MODEL_OUTPUT: "invalid_llm_response",
    pb.STOP_REASON_CONTEXT_OVERFLOW: "context_window_overflow_in_system_prompt",
    pb.STOP_REASON_INSUFFICIENT_CREDITS: "insufficient_credits",
    pb.STOP_REASON_INTERNAL_ERROR: "error",
    # Its SDKs have no word for it.
    pb.STOP_REASON_CONTENT_FILTER: "end_turn",
}
# By the reason of the run's error: the kind that the SDKs' users know, and the status of an answer that waited for the end.
ERROR_KINDS = {
    "MODEL_RATE_LIMITED": ("llm_rate_limit", 429),
    "MODEL_OVERLOADED": ("llm_error", 503),
    "MODEL_TIMEOUT": ("llm_timeout", 504),
    "MODEL_AUTH_FAILED": ("llm_authentication", 401),
    "MODEL_BAD_REQUEST": ("llm_bad_request", 400),
    "CONTEXT_WINDOW_EXCEEDED": ("context_window_overflow_in_system_prompt", 400),
    "INSUFFICIENT_CREDITS": ("llm_insufficient_credits", 402),
    "INVALID_MODEL_OUTPUT": ("llm_empty_response", 502),
    "RUN_TIMEOUT": ("run_timeout", 504),
    "RUN_LOST": ("run_lost", 500),
}
INTERNAL = ("internal_error", 500)
# For these a run has failed, to the SDKs' users: also one whose answer was cut, which the contract has as completed.
FAILURES = (
    pb.STOP_REASON_MAX_TOKENS,
    pb.STOP_REASON_TIMEOUT,
    pb.STOP_REASON_MODEL_ERROR,
    pb.STOP_REASON_INVALID_MODEL_OUTPUT,
    pb.STOP_REASON_CONTEXT_OVERFLOW,
    pb.STOP_REASON_INSUFFICIENT_CREDITS,
    pb.STOP_REASON_INTERNAL_ERROR,
)
# Metadata under these names is this face's own.
PRIVATE = "letta-grpc."
# Says that a run was asked for in the background. To the contract that is work beside the turns, which is followed by none of
# the agents that work after them; to the SDKs' users it is a turn like any other, whose caller comes back for it.
BACKGROUND = f"{PRIVATE}background"
_COUNTS = ("completion_tokens", "prompt_tokens", "total_tokens")
_MORE_COUNTS = ("cached_input_tokens", "cache_write_tokens", "reasoning_tokens", "context_tokens")


def run_json(run: pb.Run) -> dict[str, Any]:
    """Return a run."""
    own = {name: value for name, value in run.metadata.items() if not name.startswith(PRIVATE)}
    error = {"error": error_json(run)} if run.HasField("error") else {}
    return {
        "id": run.id,
        "status": status_of(run),
        "created_at": timestamp_of(run, "create_time"),
        "completed_at": timestamp_of(run, "end_time"),
        "agent_id": run.agent_id,
        "conversation_id": run.conversation_id,
        "base_template_id": None,
        "background": is_background(run),
        "metadata": {"run_type": "send_message", **own, **error},
        "request_config": {
            "use_assistant_message": True,
            "assistant_message_tool_name": "send_message",
            "assistant_message_tool_kwarg": "message",
            "include_return_message_types": None,
        },
        "stop_reason": STOP_REASONS.get(run.stop_reason),
        **_callback_json(run.callback),
        "ttft_ns": nanoseconds(run.timing.time_to_first_token) if run.timing.HasField("time_to_first_token") else None,
        "total_duration_ns": nanoseconds(run.timing.total) if run.timing.HasField("total") else None,
    }


def status_of(run: pb.Run) -> str:
    """Return where a run stands."""
    return "failed" if run.stop_reason in FAILURES else _STATUSES.get(run.state, "running")


def is_background(run: pb.Run) -> bool:
    """Say whether a run was asked for in the background, here or by the contract."""
    return run.background or BACKGROUND in run.metadata


def states_of(statuses: Collection[str]) -> "list[pb.RunState.ValueType]":
    """Return the states that runs of these statuses are in; not all that are in them have one of these."""
    named = {*statuses, *(("completed",) if "failed" in statuses else ())}
    return [state for state, status in _STATUSES.items() if status in named]


def _callback_json(callback: pb.Callback) -> dict[str, Any]:
    return {
        "callback_url": callback.url or None,
        "callback_sent_at": timestamp_of(callback, "send_time"),
        "callback_status_code": callback.status_code if callback.HasField("status_code") else None,
        "callback_error": callback.error if callback.HasField("error") else None,
    }


def error_json(run: pb.Run, seq_id: int | None = None) -> dict[str, Any]:
    """Return why a run failed, as its stream tells it."""
    return {
        "message_type": "error_message",
        "run_id": run.id,
        "error_type": error_kind(run.error)[0],
        "message": run.error.message,
        "detail": f"{run.error.reason}: {run.error.message}",
        "seq_id": seq_id,
    }


def error_kind(error: errors_pb2.RunError) -> tuple[str, int]:
    """Return a failure's kind, and the status of an answer that waited for it."""
    return ERROR_KINDS.get(error.reason, INTERNAL)


def stop_reason_json(run: pb.Run) -> dict[str, Any]:
    """Return why a run ended, as its stream tells it."""
    return {"message_type": "stop_reason", "stop_reason": STOP_REASONS.get(run.stop_reason, "error")}


def usage_statistics_json(usage: pb.Usage) -> dict[str, Any]:
    """Return what a run used, as its stream tells it; null is "not reported"."""
    sums = {name: getattr(usage, name) for name in _COUNTS}
    more = {name: getattr(usage, name) if usage.HasField(name) else None for name in _MORE_COUNTS}  # type: ignore[arg-type]  # all are its fields
    return {"message_type": "usage_statistics", **sums, "step_count": usage.step_count, "run_ids": None, **more}


def usage_json(usage: pb.Usage) -> dict[str, Any]:
    """Return what a run used, in OpenAI's shape."""
    cached = usage.cached_input_tokens if usage.HasField("cached_input_tokens") else None
    written = usage.cache_write_tokens if usage.HasField("cache_write_tokens") else None
    prompt = {"cached_tokens": cached, "cache_read_tokens": cached, "cache_creation_tokens": written}
    return {
        **{name: getattr(usage, name) for name in _COUNTS},
        "prompt_tokens_details": prompt if cached is not None or written is not None else None,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens}
        if usage.HasField("reasoning_tokens")
        else None,
    }


def metrics_json(run: pb.Run) -> dict[str, Any]:
    """Return how long a run took."""
    return {
        "id": run.id,
        "organization_id": None,
        "agent_id": run.agent_id,
        "project_id": None,
        "run_start_ns": nanoseconds(run.start_time) if run.HasField("start_time") else None,
        "run_ns": nanoseconds(run.timing.total) if run.timing.HasField("total") else None,
        "num_steps": run.usage.step_count,
        "tools_used": None,
        "template_id": None,
        "base_template_id": None,
    }


def step_json(step: pb.Step, run: pb.Run | None) -> dict[str, Any]:
    """Return a step. How and why its run ended is told of its last step; others went on."""
    last = run if run and step.index == run.usage.step_count - 1 else None
    error = last.error if last and last.HasField("error") else None
    provider, _, model = step.model.partition("/")
    counts = {name: getattr(step.usage, name) for name in _COUNTS}
    more = {name: getattr(step.usage, name) if step.usage.HasField(name) else None for name in _MORE_COUNTS[:3]}  # type: ignore[arg-type]  # all are its fields
    return {
        "id": step.id,
        "origin": None,
        "run_id": step.run_id,
        "agent_id": run.agent_id if run else None,
        "provider_name": provider,
        "provider_category": "base",
        "model": model,
        "model_handle": step.model,
        "context_window_limit": None,
        **counts,
        **more,
        "completion_tokens_details": None,
        "prompt_tokens_details": None,
        "stop_reason": STOP_REASONS.get(last.stop_reason) if last else None,
        "tags": [],
        "tid": None,
        "trace_id": None,
        "request_id": None,
        "messages": [],
        "message_ids": list(step.message_ids),
        "feedback": None,
        "project_id": None,
        "error_type": error_kind(error)[0] if error else None,
        "error_data": {"message": error.message} if error else None,
        "status": _STEP_STATUSES.get(last.state, "success") if last else "success",
    }


def step_metrics_json(step: pb.Step, run: pb.Run) -> dict[str, Any]:
    """Return how long a step took."""
    return {
        "id": step.id,
        "organization_id": None,
        "provider_id": None,
        "run_id": step.run_id,
        "agent_id": run.agent_id,
        "step_start_ns": None,
        "llm_request_start_ns": None,
        "llm_request_ns": None,
        "tool_execution_ns": None,
        "step_ns": nanoseconds(step.timing.total) if step.timing.HasField("total") else None,
        "base_template_id": None,
        "template_id": None,
        "project_id": None,
    }
