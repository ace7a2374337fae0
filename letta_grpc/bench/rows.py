"""The measures, row by row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median

from letta_grpc.bench import goals
from letta_grpc.bench.accounting import MIB
from letta_grpc.bench.goals import Goal
from letta_grpc.bench.load import Load, Outcome
from letta_grpc.bench.quantiles import paired_ratio, quantile
from letta_grpc.bench.report import Line
from letta_grpc.bench.rounds import Bench, warm_up
from letta_grpc.bench.scenarios import Scenario

_P99 = 0.99
_STREAM_TOKENS_PER_SECOND = 50
_GAP_MS = 1000 // _STREAM_TOKENS_PER_SECOND

Pairs = Sequence[tuple[Outcome, Outcome]]


def first_token(bench: Bench) -> list[Line]:
    """Row 1: how much later the first token comes than from the upstream itself, one stream at a time."""
    # An answer of several tokens: of one alone the first token would come with the end, and wait for all that the end costs.
    load = Load(subject=bench.direct(), scenario=Scenario(tokens=4, gap_ms=2), requests=bench.sizes.first_token_samples)
    direct: list[float] = []
    ours: list[float] = []
    raw: list[float] = []
    for mine, other in bench.pairs(load, bench.sizes.rounds):
        direct += bench.run(load).first_ms
        ours += mine.first_ms
        raw += other.first_ms
    base = median(direct)
    added, yardstick = median(ours) - base, median(raw) - base
    note = f"direct {base:.2f} ms, {len(ours)} samples"
    return [Line(goal=goals.FIRST_TOKEN, ours=added, raw=yardstick, ratio=added / yardstick, note=note)]


def first_token_busy(bench: Bench) -> list[Line]:
    """Row 2: the first tokens of ten streams at once, while others are at their fifth."""
    load = _load(bench, Scenario(tokens=10, gap_ms=5), bench.sizes.busy_samples, concurrency=10)
    return [_p99(goals.FIRST_TOKEN_BUSY, list(bench.pairs(load, bench.sizes.rounds)), lambda outcome: outcome.first_ms)]


def paced(bench: Bench) -> list[Line]:
    """Rows 3 and 5: many streams at the pace of a model."""
    streams = bench.sizes.paced_streams
    load = _load(bench, Scenario(tokens=bench.sizes.paced_tokens, gap_ms=_GAP_MS), streams, concurrency=streams, ramp_ms=1000)
    pairs = list(bench.pairs(load, bench.sizes.rounds))
    latency = _p99(goals.PACED_LATENCY, pairs, lambda outcome: outcome.travel_ms)
    return [
        _rate(goals.PACED_CPU, pairs, _cpu_per_1000_tokens),
        latency,
        Line(goal=goals.PACED_LATENCY_MS, ours=latency.ours, raw=latency.raw),
        _cut(goals.PACED_CUT, pairs),
    ]


def burst(bench: Bench) -> list[Line]:
    """Row 4: answers as fast as they can be read."""
    sizes, scenario = bench.sizes, Scenario(tokens=bench.sizes.burst_tokens)
    one = list(bench.pairs(_load(bench, scenario, sizes.burst_requests), sizes.rounds))
    load = _load(bench, scenario, 2 * sizes.burst_streams, concurrency=sizes.burst_streams)
    many = list(bench.pairs(load, sizes.rounds))
    note = f"answers of {sizes.burst_tokens}"
    return [
        _rate(goals.BURST_ONE, one, _cpu_per_1000_tokens, note),
        _rate(goals.BURST_MANY, many, _cpu_per_1000_tokens, note),
    ]


def crowd(bench: Bench) -> list[Line]:
    """Row 6: more streams at a model's pace than one core can relay token by token."""
    streams = bench.sizes.crowd_streams
    load = _load(bench, Scenario(tokens=bench.sizes.crowd_tokens, gap_ms=_GAP_MS), streams, concurrency=streams, ramp_ms=1000)
    pairs = list(bench.pairs(load, bench.sizes.crowd_rounds))
    latency = _p99(goals.CROWD_LATENCY, pairs, lambda outcome: outcome.travel_ms)
    return [
        _rate(goals.CROWD_RATE, pairs, lambda outcome: outcome.tokens / outcome.cpu_seconds),
        latency,
        _cut(goals.CROWD_CUT, pairs),
    ]


def short(bench: Bench) -> list[Line]:
    """Row 7: what a request costs when the answer costs next to nothing."""
    load = _load(bench, Scenario(tokens=1), bench.sizes.short_requests, concurrency=bench.sizes.short_streams)
    pairs = list(bench.pairs(load, bench.sizes.rounds))
    return [_rate(goals.SHORT_RATE, pairs, lambda outcome: outcome.requests / outcome.cpu_seconds)]


def waiting(bench: Bench) -> list[Line]:
    """Row 8: streams that have asked their model and hear nothing yet."""
    rounds = range(bench.sizes.waiting_rounds)
    found = [(bench.hold(bench.fresh_ours) / 1024, bench.hold(bench.fresh_raw) / 1024) for _ in rounds]
    ours, raw = zip(*found, strict=True)
    note = f"{bench.sizes.waiting_streams} streams"
    return [_line(goals.WAITING_MEMORY, list(ours), list(raw), note)]


def idle(bench: Bench) -> list[Line]:
    """Row 9: the server before its first request."""
    return [
        Line(goal=goals.IDLE_MEMORY, ours=bench.ours_idle_bytes / MIB),
        Line(goal=goals.START, ours=bench.ours_running.start_seconds),
    ]


def event_streams(bench: Bench) -> list[Line]:
    """Row 10: the same bursts as server-sent events, beside a relay that is a web server."""
    sizes, scenario = bench.sizes, Scenario(tokens=bench.sizes.burst_tokens)
    with bench.fresh_web() as ours, bench.fresh_sse() as raw:
        for server in (ours, raw):
            warm_up(bench.load, server)
        load = Load(subject=ours, scenario=scenario, requests=sizes.burst_requests)
        one = list(bench.pairs(load, sizes.rounds, raw))
        crowd = replace(load, requests=2 * sizes.burst_streams, concurrency=sizes.burst_streams)
        many = list(bench.pairs(crowd, sizes.rounds, raw))
    note = f"answers of {sizes.burst_tokens}"
    return [
        _rate(goals.EVENT_STREAM_ONE, one, _cpu_per_1000_tokens, note),
        _rate(goals.EVENT_STREAM_MANY, many, _cpu_per_1000_tokens, note),
    ]


def replayed(bench: Bench) -> list[Line]:
    """Row 11: a finished run, read again from its first event."""
    found = bench.replay()
    note = f"{found.events} events, {found.events_per_second:,.0f}/s by the clock"
    return [Line(goal=goals.REPLAY_RATE, ours=found.events_per_cpu_second, note=note)]


# Each function with the rows that it measures.
ROWS: Mapping[Callable[[Bench], list[Line]], frozenset[int]] = {
    idle: frozenset({9}),
    first_token: frozenset({1}),
    first_token_busy: frozenset({2}),
    paced: frozenset({3, 5}),
    burst: frozenset({4}),
    crowd: frozenset({6}),
    short: frozenset({7}),
    waiting: frozenset({8}),
    event_streams: frozenset({10}),
    replayed: frozenset({11}),
}


def _load(bench: Bench, scenario: Scenario, requests: int, *, concurrency: int = 1, ramp_ms: int = 0) -> Load:
    return Load(subject=bench.ours, scenario=scenario, requests=requests, concurrency=concurrency, ramp_ms=ramp_ms)


def _cpu_per_1000_tokens(outcome: Outcome) -> float:
    # CPU milliseconds for a thousand tokens: the two thousands cancel out, one of them twice.
    return outcome.cpu_seconds * 1_000_000 / outcome.tokens


def _rate(goal: Goal, pairs: Pairs, rate: Callable[[Outcome], float], note: str = "") -> Line:
    return _line(goal, [rate(ours) for ours, _ in pairs], [rate(raw) for _, raw in pairs], note)


def _line(goal: Goal, ours: Sequence[float], raw: Sequence[float], note: str) -> Line:
    return Line(goal=goal, ours=median(ours), raw=median(raw), ratio=paired_ratio(ours, raw), note=note)


def _p99(goal: Goal, pairs: Pairs, samples: Callable[[Outcome], list[float]]) -> Line:
    ours = [sample for outcome, _ in pairs for sample in samples(outcome)]
    raw = [sample for _, outcome in pairs for sample in samples(outcome)]
    mine, other = quantile(ours, _P99), quantile(raw, _P99)
    return Line(goal=goal, ours=mine, raw=other, ratio=mine / other, note=f"{len(ours)} samples")


def _cut(goal: Goal, pairs: Pairs) -> Line:
    ours, raw = (sum(len(pair[side].failures) for pair in pairs) for side in (0, 1))
    return Line(goal=goal, ours=ours, raw=raw)
