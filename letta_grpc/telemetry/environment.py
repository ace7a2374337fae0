"""Whether telemetry is on, and to where it goes, by the standard variables."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

from letta_grpc.ports.tracing import NoTracing
from letta_grpc.telemetry.interface import Telemetry
from letta_grpc.telemetry.sentry import ReportingTracing, sentry_from_env

logger = logging.getLogger(__name__)

_PROPAGATORS = "OTEL_PROPAGATORS"
_PROTOCOLS = {"grpc": "otlp_proto_grpc", "http/protobuf": "otlp_proto_http"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporters:
    """Exporters by the names under which packages offer them."""

    traces: tuple[str, ...]
    metrics: tuple[str, ...]


def telemetry_from_env(environ: Mapping[str, str]) -> Telemetry | None:
    """Return telemetry as the variables want it, None if they don't. A server starts whatever they say."""
    _leave_out_unknown_propagators(environ)
    measured, sentry = _measured(environ), sentry_from_env(environ)
    if sentry is None:
        return measured
    tracing = ReportingTracing(measured.tracing if measured else NoTracing(), sentry.run_failed)

    def shutdown() -> None:
        sentry.close()
        if measured:
            measured.shutdown()

    return Telemetry(tracing=tracing, rpc=measured.rpc if measured else None, shutdown=shutdown)


def _leave_out_unknown_propagators(environ: Mapping[str, str]) -> None:
    """Take propagators that are not installed out of the process's environment.

    With one of them in it OpenTelemetry's API cannot be imported, by others, as MCP's package, neither: also where no
    exporter is named, for such variables are often set for all programs of a cluster.
    """
    if not (wanted := environ.get(_PROPAGATORS)):
        return
    names = [name.strip() for name in wanted.split(",")]
    known = [name for name in names if name.lower() == "none" or entry_points(group="opentelemetry_propagator", name=name)]
    if known != names:
        for name in filter(None, set(names) - set(known)):
            logger.warning("no package offers this telemetry propagator: it is left out", extra={"propagator": name})
        os.environ[_PROPAGATORS] = ",".join(known)


def _measured(environ: Mapping[str, str]) -> Telemetry | None:
    """Return OpenTelemetry.

    Names of exporters that are not installed are logged and left out, as OpenTelemetry asks for. The SDK reads the process's
    environment for all the rest, so `environ` should be that.
    """
    exporters = exporters_of(environ)
    if not exporters.traces and not exporters.metrics:
        return None
    try:
        from letta_grpc.telemetry.providers import started_telemetry  # noqa: PLC0415 - a start without telemetry is quicker

        return started_telemetry(exporters.traces, exporters.metrics)
    except ImportError:
        logger.warning("telemetry is off: the OTEL_ variables ask for it, but letta-grpc[otel] is not installed")
    except Exception:
        # Of a value that it cannot use the SDK complains by whatever exception it comes to.
        logger.warning("telemetry is off: the OTEL_ variables cannot be used", exc_info=True)
    return None


def exporters_of(environ: Mapping[str, str]) -> Exporters:
    """Return what the variables name; an endpoint alone means OTLP to it."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Exporters(traces=(), metrics=())
    return Exporters(traces=_names(environ, "TRACES"), metrics=_names(environ, "METRICS"))


def _names(environ: Mapping[str, str], signal: str) -> tuple[str, ...]:
    # An empty variable is as good as none, says the specification.
    has_endpoint = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    wanted = environ.get(f"OTEL_{signal}_EXPORTER") or ("otlp" if has_endpoint else "none")
    names = [name.strip() for name in wanted.split(",")]
    protocol = environ.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "grpc"
    otlp = _PROTOCOLS.get(protocol.strip(), protocol)
    return tuple(otlp if name == "otlp" else name for name in names if name not in ("", "none"))
