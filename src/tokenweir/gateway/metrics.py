"""Counters of one worker. Kept as plain numbers; named and typed only when somebody asks for /metrics."""

from bisect import bisect_left
from collections import defaultdict

#: name -> (kind, help). A counter's key is its name, or "name|label=value,label=value".
METRICS = {
    "weir_calls": ("counter", "Calls that ended, by how"),
    "weir_refused": ("counter", "Calls that were refused before anything went upstream, by reason"),
    "weir_texts_lost": (
        "counter",
        "Texts of runs that could not be kept, since too many waited to be written",
    ),
    "weir_attempts": ("counter", "Attempts that ended, by upstream and how"),
    "weir_tokens": ("counter", "Tokens, by class"),
    "weir_in_flight": ("gauge", "Calls under way"),
    "weir_connections": ("gauge", "Client connections"),
    "weir_upstream_in_flight": ("gauge", "Attempts under way, by upstream"),
    "weir_cooling": ("gauge", "Workers that try a deployment last since it failed a moment ago"),
    "weir_streaming_tokens": ("gauge", "Output tokens so far of the streams under way"),
    "weir_ttft_seconds": ("histogram", "From a call's arrival to the first byte of its answer"),
}
TTFT_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Counters:
    """Plain numbers, added to on the hot path."""

    def __init__(self) -> None:
        self._counts: defaultdict[str, float] = defaultdict(int)
        self._ttft = [0] * (len(TTFT_BOUNDS_S) + 1)
        self._ttft_sum_us = 0

    def add(self, key: str, amount: float = 1) -> None:
        """Add to a counter."""
        self._counts[key] += amount

    def observe_ttft(self, ttft_us: int) -> None:
        """One call's time to first byte."""
        self._ttft[bisect_left(TTFT_BOUNDS_S, ttft_us / 1e6)] += 1
        self._ttft_sum_us += ttft_us

    def values(self, gauges: dict[str, float]) -> dict[str, float]:
        """Everything as one flat mapping that can be summed over workers."""
        values = {**self._counts, **gauges}
        for bound, count in zip((*TTFT_BOUNDS_S, "+Inf"), self._ttft, strict=True):
            values[f"weir_ttft_seconds|le={bound}"] = count
        values["weir_ttft_seconds|sum"] = self._ttft_sum_us / 1e6
        return values


def exposition(values: dict[str, float]) -> bytes:
    """The summed values in Prometheus' text format."""
    # Imported here: start-up does not wait for what is needed only once somebody scrapes.
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.registry import Collector

    class Once(Collector):
        def collect(self):  # type: ignore[no-untyped-def]  # prometheus_client has no public type for families
            return _families(values)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def _families(values: dict[str, float]):  # type: ignore[no-untyped-def]
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    grouped: dict[str, list[tuple[dict[str, str], float]]] = {name: [] for name in METRICS}
    for key, value in sorted(values.items()):
        name, _, labels = key.partition("|")
        pairs = dict(pair.partition("=")[::2] for pair in labels.split(",") if pair)
        grouped.setdefault(name, []).append((pairs, value))
    for name, (kind, help_text) in METRICS.items():
        rows = grouped[name]
        if kind == "histogram":
            yield _histogram(HistogramMetricFamily(name, help_text), values, name)
            continue
        family_of = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
        family = family_of(name, help_text, labels=sorted({label for pairs, _ in rows for label in pairs}))
        for pairs, value in rows:
            family.add_metric([pairs[label] for label in sorted(pairs)], value)
        yield family


def _histogram(family, values: dict[str, float], name: str):  # type: ignore[no-untyped-def]
    total, buckets = 0.0, []
    for bound in (*map(str, TTFT_BOUNDS_S), "+Inf"):
        total += values.get(f"{name}|le={bound}", 0)
        buckets.append((bound, total))
    family.add_metric([], buckets, sum_value=values.get(f"{name}|sum", 0.0))
    return family
