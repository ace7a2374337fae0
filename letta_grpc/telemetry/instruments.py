"""The metrics that are recorded. Bounds of buckets are those that the conventions recommend."""

from opentelemetry.metrics import Meter

from letta_grpc.telemetry import names

_SHORT = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
_CALL = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
_RUN = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6, 819.2]
_TOKENS = [4**power for power in range(14)]


class RunInstruments:
    """What is measured of runs, model calls and tools."""

    def __init__(self, meter: Meter) -> None:
        self.run_duration = meter.create_histogram(
            "gen_ai.invoke_agent.duration", "s", "How long a run was worked on.", explicit_bucket_boundaries_advisory=_RUN
        )
        self.run_first_token = meter.create_histogram(
            "letta_grpc.run.time_to_first_token",
            "s",
            "From the start of work on a run to the model's first token.",
            explicit_bucket_boundaries_advisory=_CALL,
        )
        self.active_runs = meter.create_up_down_counter("letta_grpc.run.active", "{run}", "Runs that are worked on.")
        self.call_duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "How long a call of a model took.",
            explicit_bucket_boundaries_advisory=_CALL,
        )
        self.call_first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "From the call of a model to its first token.",
            explicit_bucket_boundaries_advisory=_CALL,
        )
        self.tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens of a call of a model, as its provider reported them.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )
        self.tool_duration = meter.create_histogram(
            "gen_ai.execute_tool.duration", "s", "How long a tool ran.", explicit_bucket_boundaries_advisory=_CALL
        )


class RpcInstruments:
    """What is measured of calls."""

    def __init__(self, meter: Meter) -> None:
        self.duration = meter.create_histogram(
            "rpc.server.call.duration",
            "s",
            "How long a call took, of a stream to its end.",
            explicit_bucket_boundaries_advisory=_SHORT,
        )
        self.active = meter.create_up_down_counter("letta_grpc.rpc.active", "{call}", "Calls under way.")
        self.events_sent = meter.create_counter(names.EVENTS_SENT, "{event}", "Events that went out on streams.")
        self.first_event = meter.create_histogram(
            names.TIME_TO_FIRST_EVENT,
            "s",
            "From the beginning of a stream to its first event.",
            explicit_bucket_boundaries_advisory=_SHORT,
        )
