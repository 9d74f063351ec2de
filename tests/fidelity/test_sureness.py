"""Whether predictions know how good they are, against reruns. Takes minutes, so only ``make deep`` runs it."""

from __future__ import annotations

import os

import pytest

from tests.benchmarks.bench_prediction import SETTINGS, measured, reruns

TALKS = 40


@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "deep", reason="minutes: only with HYPOTHESIS_PROFILE=deep")
def test_predictions_admit_where_they_are_wrong() -> None:
    found = measured(reruns(range(1, TALKS + 1), SETTINGS, each=3))["all"]
    assert found["conversations"] == 3 * TALKS
    assert found["wrong_without_admission_percent"] <= 6, found
    assert found["admitted_though_right_percent"] <= 25, found
    assert found["cannot_judge_percent"] <= 20, found
    for name, covered in found["covered_percent"].items():
        assert 80 <= covered["all"]["within"] <= 98, (name, covered)
