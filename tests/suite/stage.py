"""Folders with a pipeline and recorded conversations, for tests of ``flowkit test``."""

from __future__ import annotations

from pathlib import Path

from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from tests.trace.recording import record
from tests.trace.sessions import pipeline

_RECORDED: dict[str, bytes] = {}
"""Traces by pipeline. They are recorded once, because hundreds of tests begin with the same."""


def project(folder: Path, *names: str, text: str = "", **stages: str) -> Path:
    """`folder` with ``p.yaml`` and, recorded with it in virtual time, a trace for each name; returns the pipeline's path."""
    path = folder / "p.yaml"
    written = pipeline(**stages) + text  # type: ignore[arg-type]
    path.write_text(written, encoding="utf-8")
    for name in names:
        trace = folder / f"{name}.jsonl"
        if written not in _RECORDED:
            config = load(path)
            plan = resolve(config)
            record(trace, plan, config=show(config, plan), audio=False)
            _RECORDED[written] = trace.read_bytes()
        trace.write_bytes(_RECORDED[written])
        trace.chmod(0o600)
    return path
