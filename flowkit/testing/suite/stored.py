"""Tests a stored trace: replays it, and compares the result with the approved one and with the assertions."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from flowkit.clock import monotonic_us
from flowkit.config import Config, load
from flowkit.config.discover import SUFFIXES as PIPELINES
from flowkit.config.problems import InvalidConfig
from flowkit.errors import ExitCode, FlowkitError, OutputError
from flowkit.figures.layout import layout_of
from flowkit.files import reason_of, write_whole
from flowkit.replay.predict import predict
from flowkit.replay.rerun import exactly, lines_of
from flowkit.replay.sent import sent_digests
from flowkit.replay.settings import recorded_plan
from flowkit.replay.simulate import Replayed
from flowkit.report.budgets import judge
from flowkit.report.outcome import Change, ChangeVerdict, Finding, Outcome, Status
from flowkit.testing.suite.approved import changes, snapshot
from flowkit.testing.suite.causes import changed_since, differing, place_of
from flowkit.testing.suite.environment import outside, within
from flowkit.testing.suite.expectations import (
    Expectations,
    expectations_path,
    new_path,
    read_expectations,
    with_approved,
)
from flowkit.testing.suite.fillers import early_fillers
from flowkit.testing.suite.words import judged
from flowkit.tools import Tool, Tools, names_of
from flowkit.trace.reader import Trace, read_trace


@dataclass(frozen=True, slots=True)
class Stored:
    """A replayed trace. `settings` are those that differ from the recorded ones; `now` is what ``flowkit approve``
    would store."""

    trace: Trace
    expectations: Expectations
    replayed: Replayed
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> dict[str, Any]:
        replayed = self.replayed
        return snapshot(replayed.report, self.settings, sent_digests(replayed.rows, layout_of(replayed.plan)))


def replay_stored(path: Path, expectations: Expectations | None = None) -> Stored:
    """Replay the trace at `path` with the settings of its expectations. Raises FlowkitError if that is not possible."""
    expectations = expectations or read_expectations(expectations_path(path))
    trace = read_trace(path)
    expect = expectations.expect
    # A test compares with what was approved of this conversation, so the next one is not asked for.
    replayed = predict(trace, pipeline=_pipeline(expectations), overrides=expect.set, following=False)
    changed = replayed.report.level == "what_if"
    return Stored(trace, expectations, replayed, differing(recorded_plan(trace), replayed.plan) if changed else {})


def stored_outcome(path: Path, root: str = "", *, corpus: bool = False) -> Outcome:
    """Test the trace at `path`. A result that differs from the approved one is written to ``NAME.new``.

    `root` is the folder that must contain the pipeline file of its expectations. In a `corpus` only what is worse for the user
    fails, and what cannot be judged is a notice.
    """
    started_us = monotonic_us()
    outcome = _outcome(path, root, corpus)
    return replace(outcome, again=f"flowkit test {shlex.quote(str(path))}", wall_us=monotonic_us() - started_us)


def _outcome(path: Path, root: str, corpus: bool) -> Outcome:
    name, place = path.name.removesuffix(".jsonl"), str(expectations_path(path))
    try:
        stored = replay_stored(path, replace(read_expectations(expectations_path(path)), root=root))
    except FlowkitError as error:
        file, line, what = place_and_words(error, place)
        # A mistake of the user is an error. A session that fails is a failed test.
        status = Status.ERROR if error.exit_code is ExitCode.USAGE else Status.FAILED
        return Outcome(name, place, 1, status, (Finding(what, file, line),))
    report, new = stored.replayed.report, new_path(path)
    changed = tuple(changes(stored.expectations.approved, stored.now)) if stored.expectations.approved else ()
    declined = tuple(_declined(stored))
    worse = changed
    if corpus:
        worse = tuple(change for change in changed if change.verdict is ChangeVerdict.WORSE and not declined)
    differences = tuple(_differences(stored, worse))
    findings = (*(() if corpus else declined), *differences, *_broken(stored), *_over_budget(stored))
    status = Status.FAILED if findings else Status.PASSED
    text = with_approved(stored.expectations, stored.now) if changed else None
    unjudged = tuple(f"cannot be judged: {finding.what}" for finding in declined) if corpus else ()
    notices = (*report.notices, *unjudged, *_first_row(stored, changed), *_left(new, text))
    hints = tuple(early_fillers(report, _tools(stored)))
    level, modelled = report.level, report.modelled_share
    known = Outcome(
        name, place, 1, status, findings, changed, notices, level=level, modelled_share=modelled, hints=hints
    )
    return replace(known, corpus=corpus)


def _first_row(stored: Stored, changed: tuple[Change, ...]) -> Iterator[str]:
    """Where the code behaves differently than when the trace was recorded, with the row then and now: what may have changed
    the result if no setting did."""
    if changed and not changed_since(stored.expectations.approved.get("settings", {}), stored.settings):
        yield from lines_of(exactly(stored.trace).difference)


def _left(new: Path, text: str | None) -> Iterator[str]:
    """Write `text` to ``NAME.new``, or remove that file if `text` is None. An error is only a notice: the outcome does
    not depend on it."""
    try:
        if text is not None:
            write_whole(new, text)
        # A link that leads nowhere is no file, and is removed too.
        elif new.is_file() or new.is_symlink():
            new.unlink()
    except OutputError as error:
        yield str(error)
    except OSError as error:
        yield f"{new} cannot be removed: {reason_of(error)}"


def place_and_words(error: FlowkitError, file: str, line: int = 1) -> tuple[str, int, str]:
    """The place and the text of an error. Without a place of its own, it is `file` and `line`."""
    if isinstance(error, InvalidConfig) and error.problems:
        first = error.problems[0]
        return first.mark.source.name, first.mark.line, f"{first.message} [{first.code}]"
    said = str(error).partition("\n")[0]
    return file, line, f"{said}; {error.hint}" if error.hint else said


def _pipeline(expectations: Expectations) -> str | None:
    named = expectations.expect.pipeline
    return None if named is None else str(within(expectations.path, named, expectations.root, *PIPELINES))


def config_of(path: str, *, env: bool = False) -> Config:
    """Read a pipeline file. It is read again only after it has changed. With `env` it may use environment variables.

    Raises InvalidConfig.
    """
    known = Path(path).stat()
    return _config(path, known.st_mtime_ns, known.st_size, env)


# Every test of a file reads it.
@lru_cache(maxsize=32)
def _config(path: str, mtime_ns: int, size: int, env: bool) -> Config:
    return load(path, outside=outside(env))


def _declined(stored: Stored) -> Iterator[Finding]:
    share, most = stored.replayed.report.modelled_share, stored.expectations.expect.modelled
    if share > most:
        what = f"{share:.0%} of the audio is modelled, more than {most:.0%}: too much to judge; record the conversation again"
        yield Finding(what, str(stored.expectations.path), stored.expectations.line("modelled"))


def _differences(stored: Stored, changed: tuple[Change, ...]) -> Iterator[Finding]:
    """One finding for each turn that differs, at the line of the setting that changed, if there is one."""
    places = list(_causes(stored)) if changed else []
    for number in dict.fromkeys(change.turn for change in changed):
        mine = [change for change in changed if change.turn == number]
        told = "; ".join(str(change).removeprefix(f"turn {number}: ") for change in telling(mine))
        what = (f"turn {number}: " if number else "") + told
        if places:
            for path, file, line, column, value in places:
                yield Finding(f"{what} (by {path}: {value})", file, line, column, f"{path}: {value}")
        else:
            yield Finding(what, str(stored.expectations.path), _line_of(stored.expectations, number))


def telling(mine: list[Change]) -> list[Change]:
    """The changes of a turn to report. Times of clause cuts are left out if there are other changes, and so are times that differ
    by less than a millisecond."""
    others = [change for change in mine if "cut after" not in change.what] or mine
    return [change for change in others if change.delta_ms is None or abs(change.delta_ms) >= 1] or others


def _causes(stored: Stored) -> Iterator[tuple[str, str, int, int, str]]:
    """The settings that have changed since approval: path, file, line, column, value."""
    pipeline = _pipeline(stored.expectations)
    approved = stored.expectations.approved.get("settings", {})
    for path in changed_since(approved, stored.settings):
        value = stored.settings.get(path, "as recorded")
        if pipeline is None:
            yield path, str(stored.expectations.path), stored.expectations.line("set"), 1, value
        else:
            mark = place_of(config_of(pipeline), path)
            yield path, mark.source.name, mark.line, mark.column, value


def _line_of(expectations: Expectations, turn: int) -> int:
    turns = expectations.approved.get("turns", ())
    index = next((i for i, known in enumerate(turns) if known["turn"] == turn), None)
    return expectations.line("approved") if index is None else expectations.line("approved", "turns", index)


def _tools(stored: Stored) -> tuple[Tool, ...]:
    stage = stored.replayed.plan.only("tools")
    return stage.options.tools if stage is not None and isinstance(stage.options, Tools) else ()


def _broken(stored: Stored) -> Iterator[Finding]:
    expect = stored.expectations.expect.expect
    broken = dict(judged(expect, stored.replayed.report))
    able = names_of(_tools(stored))
    called = {call.name for call in stored.replayed.report.tools}  # a client may have had tools of its own
    told = _told_causes(stored) if broken else ""
    for index, assertion in enumerate(expect):
        # Or a slip in the name would make `called: never` hold for ever.
        if assertion.tool is not None and able is not None and assertion.tool not in {*able, *called}:
            yield _unmet(
                stored, index, f"there is no tool {assertion.tool!r}: {', '.join(able) or 'the pipeline has none'}"
            )
        elif index in broken:
            yield _unmet(stored, index, broken[index] + told)


def _unmet(stored: Stored, index: int, what: str) -> Finding:
    return Finding(what, str(stored.expectations.path), stored.expectations.line("expect", index))


def _told_causes(stored: Stored) -> str:
    """The settings that have changed, with their places: what may have broken an expectation."""
    told = [f"{path}: {value} at {file}:{line}" for path, file, line, _, value in _causes(stored)]
    return f" (with {'; '.join(told)})" if told else ""


def _over_budget(stored: Stored) -> Iterator[Finding]:
    own = stored.expectations.expect.budgets
    settings = {"budgets": own} if own is not None else stored.replayed.plan.settings
    for verdict in judge(stored.replayed.report, settings):
        if not verdict.kept:
            keys = ("budgets", *verdict.name.split("."))
            pipeline = _pipeline(stored.expectations)
            if own is not None or pipeline is None:
                yield Finding(str(verdict), str(stored.expectations.path), stored.expectations.line(*keys))
            else:
                yield Finding(str(verdict), pipeline, _budget_line(config_of(pipeline), keys))


def _budget_line(config: Config, keys: tuple[str, ...]) -> int:
    node, line = config.root, 1
    for key in keys:
        below = node.get(key) if hasattr(node, "get") else None
        if below is None:
            break
        node, line = below, below.mark.line  # type: ignore[assignment]
    return line
