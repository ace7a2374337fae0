"""Reporting errors to Sentry: everything that is logged as an error, and every run that failed.

On when SENTRY_DSN is set; needs the `[sentry]` extra, which is imported only then. SENTRY_ENVIRONMENT and SENTRY_RELEASE are
the SDK's own variables. A report has the exception with its text and its lines of code: no local variables, no request, and of
a failed run its reason alone. Runs that were cancelled, and calls that were refused, are no errors.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager

from letta_grpc.domain.completions import ModelRequest
from letta_grpc.domain.ids import RunId
from letta_grpc.domain.messages import ToolCall
from letta_grpc.domain.runs import Run
from letta_grpc.domain.usage import Usage
from letta_grpc.ports.tracing import Span, Tracing

logger = logging.getLogger(__name__)

Report = Callable[[Run, str], None]

# How long a stop waits for the last reports.
_FLUSH_SECONDS = 2
# Of a fault of the server's own the log has told already, with its exception.
_LOGGED = frozenset({"INTERNAL"})


class Sentry:
    """Reports errors until it is closed. One at a time in a process: the SDK is global."""

    def __init__(self, dsn: str) -> None:
        """Begin. Raises ImportError without the extra, ValueError for what is no DSN."""
        import sentry_sdk  # noqa: PLC0415 - who has no DSN does not pay for loading it
        from sentry_sdk.integrations.logging import LoggingIntegration  # noqa: PLC0415 - see above

        self._sdk = sentry_sdk
        sentry_sdk.init(
            dsn=dsn,
            # What an integration of the SDK's own finds installed, it would patch.
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)],
            include_local_variables=False,
            max_request_body_size="never",
            auto_session_tracking=False,
            max_breadcrumbs=0,
        )

    def run_failed(self, run: Run, reason: str) -> None:
        """Report a run that failed, by its reason: its text may quote people."""
        if reason in _LOGGED:
            return
        with self._sdk.new_scope() as scope:
            scope.set_tag("reason", reason)
            scope.set_tag("model", run.model)
            scope.set_extra("run_id", run.id)
            scope.set_extra("agent_id", run.agent_id)
            # One issue a reason, whatever run it was.
            scope.fingerprint = ["run failed", reason]
            self._sdk.capture_message(f"run failed: {reason}", level="error")

    def close(self) -> None:
        """Send what waits, for two seconds at most, and report no more."""
        self._sdk.get_client().close(timeout=_FLUSH_SECONDS)
        self._sdk.get_global_scope().set_client(None)


def sentry_from_env(environ: Mapping[str, str]) -> Sentry | None:
    """Return Sentry as the variables want it, None if they don't. A server starts whatever they say."""
    dsn = environ.get("SENTRY_DSN", "").strip()
    if not dsn:
        return None
    try:
        return Sentry(dsn)
    except ImportError:
        logger.warning("errors are not reported: SENTRY_DSN is set, but letta-grpc[sentry] is not installed")
    except ValueError:
        # Without its text, which is the DSN.
        logger.warning("errors are not reported: SENTRY_DSN is no address of Sentry's")
    return None


class ReportingTracing:
    """Tracing that tells of every run that failed."""

    def __init__(self, inner: Tracing, report: Report) -> None:
        self._inner = inner
        self._report = report

    @contextmanager
    def run(self, run: Run, traceparent: str | None) -> Generator[Span, None, None]:
        """Open the span of a run; report it if it fails."""
        with self._inner.run(run, traceparent) as span:
            yield _ReportingSpan(span, lambda reason: self._report(run, reason))

    def step(self, run_id: RunId, index: int) -> AbstractContextManager[Span]:
        """Open the span of one step."""
        return self._inner.step(run_id, index)

    def model_call(self, handle: str, request: ModelRequest) -> AbstractContextManager[Span]:
        """Open the span of one call of a model."""
        return self._inner.model_call(handle, request)

    def tool_call(self, call: ToolCall) -> AbstractContextManager[Span]:
        """Open the span of one execution of a tool."""
        return self._inner.tool_call(call)

    def headers(self) -> Mapping[str, str]:
        """Return the trace context of the open span."""
        return self._inner.headers()


class _ReportingSpan:
    def __init__(self, inner: Span, report: Callable[[str], None]) -> None:
        self._inner = inner
        self._report = report

    def fail(self, reason: str) -> None:
        self._inner.fail(reason)
        self._report(reason)

    def first_token(self) -> None:
        self._inner.first_token()

    def used(self, usage: Usage) -> None:
        self._inner.used(usage)
