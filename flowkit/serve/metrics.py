"""What a monitor reads: Prometheus text about the host, its sessions and how fast they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flowkit.clock import US_PER_S
from flowkit.figures.cost import Cost
from flowkit.figures.report import Report
from flowkit.runtime.gauges import Gauges
from flowkit.serve.families import Families, Family, Sample, families_of

_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_COUNTERS = {
    "begun": ("flowkit_sessions_begun", "Sessions that were begun."),
    "failed": ("flowkit_sessions_failed", "Sessions that ended with an error."),
    "stalls": ("flowkit_loop_stalls", "How often the event loop was held for more than 20 ms."),
}


class Metrics:
    """The metrics of one server. `gauges` gives those of its host, `limit` is how many sessions it may have."""

    def __init__(self, gauges: Callable[[], Gauges], limit: int) -> None:
        # A registry of its own, because a program may run several servers.
        self._registry = CollectorRegistry()
        self._registry.register(_OfHost(gauges, limit))
        self.requests = Counter("flowkit_http_requests", "HTTP answers by status.", ["status"], registry=self._registry)
        self.refused = Counter(
            "flowkit_sessions_refused", "Sessions that were refused, by the error's code.", ["code"],
            registry=self._registry,
        )  # fmt: skip
        self.drops = Counter(
            "flowkit_connections_dropped", "Connections given up, by reason.", ["reason"], registry=self._registry
        )
        self.faults = Counter(
            "flowkit_provider_faults", "Failures of providers, by stage.", ["stage"], registry=self._registry
        )
        self._ttfa = Histogram(
            "flowkit_ttfa_seconds",
            "From the end of the user's speech to the first audio of the answer.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._greeting = Histogram(
            "flowkit_greeting_seconds",
            "From a client's start to the first audio of the greeting.",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._ends = Counter(
            "flowkit_user_turn_ends",
            "The user's turns by why they ended when they did: complete, unsure, incomplete, longest, or silence.",
            ["why"],
            registry=self._registry,
        )
        self._turns = Counter("flowkit_turns", "Turns by how they ended.", ["end"], registry=self._registry)
        self._interrupts = Counter("flowkit_interrupts", "Replies that were interrupted.", registry=self._registry)

        self._cost = Counter(
            "flowkit_cost", "What providers cost at the pipeline's prices, by stage.", ["stage", "currency"],
            registry=self._registry,
        )  # fmt: skip
        self._in_vain = Counter(
            "flowkit_cost_in_vain",
            "The part of the cost that nobody heard.",
            ["why", "currency"],
            registry=self._registry,
        )
        self._used = Counter(
            "flowkit_usage", "What providers with a price were used for.", ["stage", "unit"], registry=self._registry
        )

    def session_over(self, report: Report, loading_us: int) -> None:
        """Count the turns of a session that has ended, and that began `loading_us` after its client had asked for it."""
        greeting_us = report.greeting_us
        if greeting_us is not None:
            self._greeting.observe((loading_us + greeting_us) / US_PER_S)
        for turn in report.turns:
            self._turns.labels(str(turn.end_reason)).inc()
            self._ends.labels(turn.ending.why if turn.ending is not None else "silence").inc()
            if turn.ttfa_us is not None:
                self._ttfa.observe(turn.ttfa_us / US_PER_S)
        self._interrupts.inc(len(report.interrupts))
        if report.cost is not None:
            self._spend(report.cost)

    def _spend(self, cost: Cost) -> None:
        for id_, stage in cost.stages.items():
            self._cost.labels(id_, cost.currency).inc(stage.amount)
            self._in_vain.labels("speculation", cost.currency).inc(stage.speculation)
            self._in_vain.labels("retries", cost.currency).inc(stage.retries)
            counted = {name: count for name, count in stage.to_json().items() if name != "cost"}
            for unit, count in counted.items():
                self._used.labels(id_, unit).inc(count)

    def families(self) -> Families:
        """The metrics as they are now."""
        return families_of(self._registry)


def of_workers(ready: int, ended: int) -> Families:
    """The metrics of several processes themselves."""
    return [
        Family(name, kind, what, [Sample(f"{name}{suffix}", {}, value)])
        for name, suffix, kind, what, value in (
            ("flowkit_workers", "", "gauge", "Processes that are ready, where there are several.", ready),
            ("flowkit_workers_ended", "_total", "counter", "Processes that ended and were started again.", ended),
        )
    ]


class _OfHost(Collector):
    def __init__(self, gauges: Callable[[], Gauges], limit: int) -> None:
        self._gauges = gauges
        self._limit = limit

    def collect(self) -> Iterable[Metric]:
        now = self._gauges()
        yield GaugeMetricFamily("flowkit_sessions", "Sessions that run now.", now.sessions)
        yield GaugeMetricFamily("flowkit_sessions_limit", "Sessions that may run at the same time.", self._limit)
        yield GaugeMetricFamily("flowkit_loop_lag_seconds", "How late the event loop wakes.", now.lag_us / US_PER_S)
        yield GaugeMetricFamily(
            "flowkit_cpu_seconds_per_session_second", "CPU time for each second of a session.",
            now.cpu_us_a_session_s / US_PER_S,
        )  # fmt: skip
        for field, (name, what) in _COUNTERS.items():
            yield CounterMetricFamily(name, what, getattr(now, field))
        waiting = GaugeMetricFamily("flowkit_queue_messages", "Messages that wait, by stage.", labels=["stage"])
        fullest = GaugeMetricFamily("flowkit_queue_fullest_ratio", "The fullest queue, by stage.", labels=["stage"])
        for queue in now.queues:
            waiting.add_metric([queue.stage], queue.waiting)
            fullest.add_metric([queue.stage], queue.longest / queue.max)
        yield waiting
        yield fullest

    def describe(self) -> Iterable[Metric]:
        return ()
