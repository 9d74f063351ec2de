"""Runs a session test of a pipeline file: with its scripted providers or with a recording, and with injections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flowkit.config import Unset, load
from flowkit.config.faults import InjectedFault
from flowkit.config.tests import Case
from flowkit.engine import Row
from flowkit.errors import UsageError
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import measure
from flowkit.figures.queues import queue_reports
from flowkit.figures.reference import Reference
from flowkit.figures.report import Report
from flowkit.messages import Message
from flowkit.plan import Plan, resolve
from flowkit.plan.variables import check_given, fill
from flowkit.providers.inline import Script
from flowkit.replay.faults import FaultyProviders, after_faults
from flowkit.replay.heap import HeapPump
from flowkit.replay.simulate import MISSED, prepare
from flowkit.testing.sessions import LONGEST_US, scripts_of, with_fakes
from flowkit.testing.suite.environment import outside, within
from flowkit.testing.suite.inject import Around, InjectedSpeech, levels_with, speech_at, when, with_speech
from flowkit.trace.chunks import journal_digest
from flowkit.trace.reader import read_trace


@dataclass(frozen=True, slots=True)
class Ran:
    """A session that has run: its figures, its journal and its plan."""

    report: Report
    rows: Sequence[Row]
    plan: Plan
    missed: tuple[str, ...] = ()
    """The injected faults that have done nothing, for people."""


Play = Callable[[Sequence[InjectedSpeech]], Ran]


def run_case(path: Path, case: Case, *, env: bool = False, root: str = "") -> Ran:
    """Run the session test `case` of the pipeline file `path`.

    With `env` the file may use environment variables. `root` is the folder that must contain its traces.

    Raises FlowkitError if the file is invalid, if a provider is not scripted, if the session ends before an injection, or if an
    injected fault does nothing.
    """
    play = _recorded(path, case, root) if case.trace else _scripted(path, case, env)
    speech: list[InjectedSpeech] = []
    for injection in case.inject:
        if injection.speech is None:
            continue
        # Run with the injections so far, because one injection may depend on an earlier one.
        ran = play(speech)
        at_us = injection.at if injection.after is None else when(ran.rows, ran.plan, injection.after)
        assert at_us is not None
        last_us = max((row.handled_us for row in ran.rows[-1:]), default=0)
        if at_us >= last_us:
            raise UsageError(
                f"speech injected at {at_us / 1e6:g} s comes too late: the session ends at {last_us / 1e6:g} s"
            )
        speech.append(speech_at(at_us, injection, ran.plan.frame_us))
    ran = play(speech)
    if ran.missed:
        raise UsageError(ran.missed[0], hint=MISSED)
    return ran


def _recorded(path: Path, case: Case, root: str) -> Play:
    assert case.trace is not None
    trace = read_trace(within(path, case.trace, root, ".jsonl"))
    faults, spoken = _faults(case), any(injection.speech is not None for injection in case.inject)

    def play(speech: Sequence[InjectedSpeech]) -> Ran:
        class Injecting(HeapPump):
            def __init__(self, plan: Plan, scripts: Mapping[str, Script]) -> None:
                super().__init__(plan, with_speech(scripts, plan, speech))

        heard = replace(trace, levels=levels_with(trace.levels, speech))
        # What is said at a time of the session comes at that time, so then the user does not react to a fault.
        reacts = () if spoken else faults
        prepared = prepare(heard, pipeline=str(path), overrides=case.set, faults=reacts)
        replayed = replace(prepared, faults=faults).run(frame_by_frame=True, pump_cls=Injecting)
        return Ran(replayed.report, replayed.rows, replayed.plan, replayed.missed)

    return play


def _scripted(path: Path, case: Case, env: bool) -> Play:
    config = load(path, overrides=case.set, outside=outside(env, Unset.ERROR))
    check_given(config, case.variables)
    # A test calls no function and asks no server.
    plan = with_fakes(fill(resolve(config), case.variables), {"tools"})
    faults = _faults(case)

    def play(speech: Sequence[InjectedSpeech]) -> Ran:
        scripts = scripts_of(plan)
        reference = Reference(plan.input_rate_hz * plan.frame_us // 1_000_000)
        source = plan.only("mic")
        if source is not None:
            scripts[source.id] = Around(scripts[source.id], lambda answers: _overheard(answers, reference))
        faulty = FaultyProviders(plan, faults)
        pump = HeapPump(plan, faulty.into(with_speech(scripts, plan, speech)))
        faulty.follow(pump.engine)
        pump.run(until_us=LONGEST_US)
        ran = _measured(pump, plan, Reference(frame_samples(plan), levels_with(reference.levels, speech)), path)
        return replace(ran, report=after_faults(ran.report, faulty), missed=tuple(faulty.missed(len(ran.report.turns))))

    return play


def _faults(case: Case) -> tuple[InjectedFault, ...]:
    return tuple(fault for injection in case.inject for fault in injection.faults)


def frame_samples(plan: Plan) -> int:
    """The number of samples in a microphone frame."""
    return plan.input_rate_hz * plan.frame_us // 1_000_000


def _overheard(answers: Iterable[tuple[int, Message]], reference: Reference) -> Iterator[tuple[int, Message]]:
    for delay_us, item in answers:
        if pcm := getattr(item, "pcm", b""):
            reference.add(item.index, pcm)  # type: ignore[attr-defined]
        yield delay_us, item


def _measured(pump: HeapPump, plan: Plan, reference: Reference, path: Path) -> Ran:
    rows = list(pump.engine.journal)
    layout = layout_of(plan)
    report = measure(
        rows,
        plan=layout,
        voiced=reference,
        trace=path.name,
        level="simulated",
        digest=journal_digest(rows, layout),
        queues=queue_reports(pump.engine.inboxes()),
    )
    return Ran(report, rows, plan)
