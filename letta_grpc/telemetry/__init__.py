"""Traces and metrics by OpenTelemetry: the only importer of it, and nothing is imported while it is off.

It is on when the standard variables say so: OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER (`otlp`, `console`, `none`), or
an OTEL_EXPORTER_OTLP_ENDPOINT alone, unless OTEL_SDK_DISABLED is true. It needs the `[otel]` extra. All else about sampling,
batching, resources and OTLP is the SDK's own reading of its variables.

    RPC ─▶ invoke_agent ─▶ step ─▶ chat {model}
                        │       └▶ execute_tool {name}
                        └▶ time_to_first_token

A run hangs on the trace of the call that started it, also after a takeover by another server; a call that only reads a run
names it in `letta_grpc.run.id`. What people, models and tools say is never in a span or a metric.

| metric | unit | labels beside error.type |
|---|---|---|
| rpc.server.call.duration | s | rpc.method, rpc.response.status_code |
| letta_grpc.rpc.active | {call} | rpc.method: streams under way are those of StreamRun and AttachRun |
| letta_grpc.rpc.events_sent | {event} | rpc.method |
| letta_grpc.rpc.time_to_first_event | s | rpc.method |
| gen_ai.invoke_agent.duration | s | gen_ai.provider.name, gen_ai.request.model |
| letta_grpc.run.time_to_first_token | s | gen_ai.provider.name, gen_ai.request.model |
| letta_grpc.run.active | {run} | |
| gen_ai.client.operation.duration | s | gen_ai.provider.name, gen_ai.request.model |
| gen_ai.client.operation.time_to_first_chunk | s | gen_ai.provider.name, gen_ai.request.model |
| gen_ai.client.token.usage | {token} | gen_ai.provider.name, gen_ai.request.model, gen_ai.token.type |
| gen_ai.execute_tool.duration | s | gen_ai.tool.name |

Errors go to Sentry, with or without the rest, when SENTRY_DSN is set: see `sentry.py`.

Programs that call this server can trace their channels with `opentelemetry-instrumentation-grpc` (in the `[otel]` extra):
its client side works. Its server side does not for asyncio: a cancelled stream is recorded as OK, and handlers that write
fail. That is why the server's side is written here.
"""

from letta_grpc.telemetry.environment import telemetry_from_env
from letta_grpc.telemetry.interface import Telemetry
from letta_grpc.telemetry.sentry import sentry_from_env

__all__ = ["Telemetry", "sentry_from_env", "telemetry_from_env"]
