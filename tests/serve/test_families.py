"""The metrics of several processes as those of one."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from flowkit.runtime.gauges import Gauges, QueueDepth
from flowkit.serve.families import Families, lasting, merged, read, text_of
from flowkit.serve.metrics import Metrics


def families(sessions: int, lag_us: int, refused: int) -> Families:
    gauges = Gauges(sessions, sessions + 1, 0, 0, 0, lag_us, 0, (QueueDepth("llm", sessions, 1, 4),))
    metrics = Metrics(lambda: gauges, 100)
    metrics.refused.labels("server_busy").inc(refused)
    metrics._ttfa.observe(0.35)
    return metrics.families()


def value(families: Families, name: str) -> float:
    return next(sample.value for family in families for sample in family.samples if sample.name == name)


PROCESS = st.tuples(st.integers(0, 9), st.integers(0, 10**6), st.integers(0, 9))


@given(processes=st.lists(PROCESS, min_size=1, max_size=4))
def test_counts_are_added_up_and_of_lags_the_largest_counts(processes: list[tuple[int, int, int]]) -> None:
    parts = [read(json.loads(json.dumps(families(*process)))) for process in processes]
    both = merged(parts)
    sessions, lags, refused = zip(*processes, strict=True)
    assert value(both, "flowkit_sessions") == sum(sessions)
    assert value(both, "flowkit_queue_messages") == sum(sessions)
    assert value(both, "flowkit_loop_lag_seconds") == max(lags) / 1e6
    assert value(both, "flowkit_sessions_limit") == 100
    assert value(both, "flowkit_sessions_refused_total") == sum(refused)
    assert value(both, "flowkit_ttfa_seconds_count") == len(parts)


def test_of_a_lost_process_only_what_happened_is_left() -> None:
    both = merged([families(2, 5, 1), lasting(families(3, 9_000_000, 4))])
    assert value(both, "flowkit_sessions") == 2
    assert value(both, "flowkit_loop_lag_seconds") == 5e-6
    assert value(both, "flowkit_sessions_refused_total") == 5


def test_the_text_is_what_prometheus_reads() -> None:
    text = text_of(families(2, 5, 1)).decode()
    assert "# TYPE flowkit_ttfa_seconds histogram" in text
    assert 'flowkit_ttfa_seconds_bucket{le="0.4"} 1.0' in text
    assert 'flowkit_sessions_refused_total{code="server_busy"} 1.0' in text
    assert "_created" not in text
