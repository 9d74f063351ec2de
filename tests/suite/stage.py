"""Folders with a pipeline and recorded conversations, for tests of ``flowkit test``."""

from __future__ import annotations

from pathlib import Path

from flowkit.config import load
from flowkit.plan import resolve
from flowkit.plan.show import show
from tests.trace.recording import record
from tests.trace.sessions import pipeline


def project(folder: Path, *names: str, text: str = "", **stages: str) -> Path:
    """`folder` with ``p.yaml`` and, recorded with it in virtual time, a trace for each name; returns the pipeline's path."""
    path = folder / "p.yaml"
    path.write_text(pipeline(**stages) + text, encoding="utf-8")  # type: ignore[arg-type]
    for name in names:
        config = load(path)
        plan = resolve(config)
        record(folder / f"{name}.jsonl", plan, config=show(config, plan), audio=False)
    return path
