"""Metrics as plain values: they pass between the processes of a server and are added up there. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

_ADDED_UP = ("counter", "histogram")
_LARGEST = frozenset({
    "flowkit_loop_lag_seconds", "flowkit_queue_fullest_ratio", "flowkit_cpu_seconds_per_session_second",
    "flowkit_sessions_limit",
})  # fmt: skip
"""Gauges of which the largest value stands for all processes. The others are added up."""


class Sample(NamedTuple):
    """One value, by its name and its labels."""

    name: str
    labels: Mapping[str, str]
    value: float


class Family(NamedTuple):
    """A metric with all its values. `kind` is Prometheus's: counter, gauge or histogram."""

    name: str
    kind: str
    help: str
    samples: Sequence[Sample]


Families = Sequence[Family]


def families_of(registry: CollectorRegistry) -> Families:
    """What a registry has now. When a counter was made is left out, because it cannot be added up."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            [
                Sample(sample.name, sample.labels, sample.value)
                for sample in metric.samples
                if not sample.name.endswith("_created")
            ],
        )
        for metric in registry.collect()
    ]


def read(given: Any) -> Families:
    """Families that have passed through JSON."""
    return [Family(name, kind, what, [Sample(*sample) for sample in samples]) for name, kind, what, samples in given]


def merged(parts: Iterable[Families]) -> Families:
    """The metrics of several processes as those of one."""
    found: dict[str, Family] = {}
    samples: dict[str, dict[tuple[object, ...], Sample]] = {}
    for family in (family for part in parts for family in part):
        found.setdefault(family.name, family)
        known = samples.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, *sorted(sample.labels.items()))
            values = (sample.value, *([known[key].value] if key in known else ()))
            known[key] = sample._replace(value=max(values) if family.name in _LARGEST else sum(values))
    return [family._replace(samples=list(samples[family.name].values())) for family in found.values()]


def lasting(families: Families) -> Families:
    """What still counts when the process is gone: what has happened, and not how things stand."""
    return [family for family in families if family.kind in _ADDED_UP]


def text_of(families: Families) -> bytes:
    """Prometheus text."""
    registry = CollectorRegistry()
    registry.register(_Fixed(families))
    return generate_latest(registry)


class _Fixed(Collector):
    def __init__(self, families: Families) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            metric = Metric(family.name, family.help, family.kind)
            for name, labels, value in family.samples:
                metric.add_sample(name, dict(labels), value)
            yield metric

    def describe(self) -> Iterator[Metric]:
        return iter(())
