"""Experiments that show what the keys of a pipeline file change.

Each experiment takes settings (``path=value``), runs something small with them and returns the result, which is
compared with the result of other settings.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing

from flowkit.cli import main
from flowkit.cli.recording import record_path
from flowkit.config import Reading, load, read
from flowkit.errors import FlowkitError, ProviderError
from flowkit.figures.layout import layout_of
from flowkit.figures.live import LiveFigures
from flowkit.figures.queues import queue_reports
from flowkit.messages import (
    Ask,
    Audio,
    Capture,
    Detect,
    Final,
    Frames,
    InputEnded,
    Message,
    Probability,
    Speak,
    Token,
    Transcribe,
    Typed,
)
from flowkit.options import Options
from flowkit.plan import Plan
from flowkit.plan.graph import ProviderChoice
from flowkit.plan.lints import lint
from flowkit.plan.resolve import draw, resolve
from flowkit.providers.base import Emit, Provider
from flowkit.providers.loading import lone_error
from flowkit.report.budgets import judge
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.host import run_alone
from flowkit.runtime.pump import TrioPump
from flowkit.runtime.recording import Recordings
from flowkit.testing.sessions import Kept, heap_session, providers_of, trio_session
from flowkit.trace.retention import remove_old

BASE = """
flowkit: 1
name: base
stages:
  - {kind: mic, provider: scripted, speech: [{at: 300ms, lasts: 900ms}, {at: 3s, lasts: 700ms}], length: 6s}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted, utterances: [What is the capital of France?, And now please stop.]}
  - {kind: gate}
  - kind: llm
    provider: scripted
    replies:
      - text: "It is Paris, on the Seine. Dr. Who likes it: wine, cheese; long walks - and more. See https://example.com *now*."
      - {text: Well.}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker, provider: memory}
"""
"""A question, a reply, and a second utterance that interrupts it."""

Experiment = Callable[..., Any]


def planned(settings: Sequence[str]) -> Plan:
    """The plan of `BASE` with the settings."""
    return resolve(load("base.yaml", text=BASE, overrides=settings))


def with_provider(plan: Plan, kind: str, cls: type[Provider]) -> Plan:
    """The plan with another provider, without options, for stages of this kind."""
    choice = ProviderChoice(cls.name, cls, Options())
    return replace(plan, stages=tuple(replace(s, provider=choice) if s.kind == kind else s for s in plan.stages))


def in_time(main: Any, *args: Any) -> Any:
    """Run with a clock that jumps when all tasks wait."""
    return trio.run(main, *args, clock=trio.testing.MockClock(autojump_threshold=0))


# -- sessions ----------------------------------------------------------------------------------------------------------


def played(*settings: str) -> Any:
    """Every row of a session, its queues, and how it ended."""
    engine = heap_session(planned(settings), limit_us=30_000_000)
    return [row.plain() for row in engine.journal], queue_reports(engine.inboxes()), engine.finished


def said(*settings: str) -> Any:
    """Only the clauses that the chunker makes of the replies."""
    rows = heap_session(planned(settings), limit_us=30_000_000).journal
    return [(row.handled_us, row.message) for row in rows if row.kind == "Clause"]


def linked(*settings: str) -> Any:
    """Which stage feeds which, in a pipeline with two stages of every kind, `vad2` before `vad`."""
    text = BASE
    for line in BASE.splitlines():
        if line.startswith("  - {kind:"):
            kind = line.split("kind: ")[1].rstrip("}").split(",")[0]
            text = text.replace(line, line.replace("{kind", f"{{id: {kind}2, kind") + "\n" + line, 1)
    text = text.replace("  - kind: llm", "  - {id: llm2, kind: llm, provider: canned}\n  - kind: llm")
    drawn = draw(load("twice.yaml", text=text, overrides=settings), installed=False)
    return drawn.plan.edges, [problem.concise() for problem in drawn.problems]


class Blocks(Provider):
    """Declares that it blocks the event loop."""

    name = "blocks"
    blocks = True

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise AssertionError("never called")


def linted(*settings: str) -> Any:
    """The lint's findings if every provider blocks."""
    plan = draw(load("base.yaml", text=BASE, overrides=settings), installed=False).plan
    choice = ProviderChoice("blocks", Blocks, Options())
    return lint(replace(plan, stages=tuple(replace(stage, provider=choice) for stage in plan.stages)))


def judged(*settings: str) -> Any:
    """The verdicts on the budgets."""
    plan = planned(settings)
    figures = LiveFigures(plan)
    figures.rows(heap_session(plan).journal.rows)
    return [str(verdict) for verdict in judge(figures.report(), plan.settings)]


def billed(*settings: str) -> Any:
    """What the session costs."""
    plan = planned(settings)
    figures = LiveFigures(plan)
    figures.rows(heap_session(plan).journal.rows)
    return figures.report().to_json().get("cost")


def prices(*settings: str) -> Any:
    """The prices that figures get."""
    return layout_of(planned(settings)).prices


def typed(*settings: str) -> Any:
    """A session with a keyboard as well: two lines, the second while the first is answered."""

    class Lines(Provider):
        kind, name = "gate", "lines"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            await emit(Typed("Hello?"))
            await trio.sleep(1)
            await emit(Typed("Stop."))
            await emit(InputEnded(0))

    plan = with_provider(planned(settings), "gate", Lines)
    return [row.plain() for row in trio_session(plan, limit_us=20_000_000).journal]


# -- recording ---------------------------------------------------------------------------------------------------------


def recorded(*settings: str) -> Any:
    """The files that are written, and which words they contain."""
    with tempfile.TemporaryDirectory() as folder:
        placed = [setting.replace("$TMP", folder) for setting in settings]
        config = load("base.yaml", text=BASE, overrides=[f"trace.dir={folder}", *placed])
        path = record_path(SimpleNamespace(no_trace=False, trace=None), config)  # type: ignore[arg-type]
        assert path is not None
        record = Recordings(config, print).open(path, resolve(config), {})
        in_time(_watched, resolve(config), record.observers)
        record.outcome = SimpleNamespace(reason="closed", inboxes=[])  # type: ignore[assignment]
        record.finish()
        whole = path.read_text()
        files = [file.relative_to(folder).as_posix() for file in Path(folder).rglob("*.*")]
        names = sorted(re.sub(r"-[0-9-]+", "-TIME", name) for name in files)
        return names, path.stat().st_mode, "capital" in whole, "Paris" in whole


def removed(*settings: str) -> Any:
    """Which of two old recordings are removed when a session starts."""
    with tempfile.TemporaryDirectory() as folder:
        for day in (1, 2):
            file = Path(folder, f"base-2020010{day}-000000-1.jsonl")
            file.write_bytes(bytes(2_000_000))
            os.utime(file, (day * 86_400, day * 86_400))
        config = load("base.yaml", text=BASE, overrides=[f"trace.dir={folder}", *settings])
        return sorted(path.name for path in remove_old(config.top.trace))


async def _watched(plan: Plan, observers: Any) -> None:
    clock = SessionClock()
    async with open_alarms() as alarms, providers_of(plan, clock) as providers:
        settled = trio.testing.wait_all_tasks_blocked
        await TrioPump(plan, providers, clock, alarms, observers=observers, settled=settled).run()


# -- calls that fail or linger -----------------------------------------------------------------------------------------


class Misbehaving(Provider):
    """Emits a few items, and then fails or emits nothing more, while it takes what it is fed."""

    name = "misbehaving"
    items = 0
    fails = False

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        for number in range(self.items):
            await emit(_answer(request, number))
        if self.fails:
            raise ProviderError("not today")
        async for _ in fed:
            pass
        await trio.sleep_forever()


def _answer(request: Message, number: int) -> Message:
    match request:
        case Ask():
            return Token(number, "Hello. ")
        case Speak(clause=clause):
            return Audio(clause, 0, 160, 16_000, 0, bytes(320))
        case Detect():
            return Probability(number, 0.0)
        case Capture():
            return Frames(number, 1, bytes(640))
        case Transcribe():
            return Final("Hello?", 1)
    raise AssertionError(request)


def failing(kind: str, *, items: int = 0, fails: bool = False) -> Experiment:
    """A session whose provider of `kind` misbehaves, with a clock that jumps: rows, events and the end, all with their
    times."""

    class Misbehaves(Misbehaving):
        pass

    Misbehaves.kind, Misbehaves.items, Misbehaves.fails = kind, items, fails

    async def session(plan: Plan, kept: Kept) -> str:
        settled = trio.testing.wait_all_tasks_blocked
        notice = lambda line: None  # noqa: E731
        return (await run_alone(plan, notice=notice, observers=(kept,), settled=settled, duration_us=6_500_000)).reason

    def experiment(*settings: str) -> Any:
        plan, kept = planned(settings), Kept()
        stages = []
        for stage in plan.stages:
            choice = stage.provider
            if stage.kind == kind and choice is not None:
                choice = replace(choice, name=Misbehaves.name, cls=Misbehaves)
            stages.append(replace(stage, provider=choice))
        reason = in_time(session, replace(plan, stages=tuple(stages)), kept)
        events = [event for event in kept.events if event[1] not in ("stall", "starved")]
        return reason, events, [row.plain() for row in kept.all if row.kind != "Frames"]

    return experiment


def closing(*settings: str) -> Any:
    """How long a session lasts if its ASR needs three seconds to close."""

    class EndsSlowly(Provider):
        kind, name = "asr", "slow"

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            async for _ in fed:
                pass
            await trio.sleep(3)

    async def session(plan: Plan) -> float:
        clock = SessionClock()
        async with open_alarms() as alarms, providers_of(plan, clock) as providers, trio.open_nursery() as nursery:
            pump = TrioPump(plan, providers, clock, alarms, settled=trio.testing.wait_all_tasks_blocked)
            nursery.start_soon(pump.run)
            await trio.sleep(1)
            pump.close("closed")
        return round(trio.current_time(), 1)

    return in_time(session, with_provider(planned(settings), "asr", EndsSlowly))


def unloadable(kind: str, text: str = BASE) -> Experiment:
    """How a session ends if the first provider of `kind` cannot be made ready."""

    class Broken(Provider):
        name = "broken"

        @asynccontextmanager
        async def ready(self) -> AsyncIterator[None]:
            raise ProviderError("cannot be loaded")
            yield

        async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            raise AssertionError("never called")

    Broken.kind = kind

    async def session(plan: Plan) -> str:
        with lone_error():
            return (await run_alone(plan, notice=lambda line: None, duration_us=10_000)).reason

    def experiment(*settings: str) -> Any:
        plan = draw(load("base.yaml", text=text, overrides=settings), installed=False).plan
        try:
            return in_time(session, with_provider(plan, kind, Broken))
        except FlowkitError as error:
            return str(error)

    return experiment


# -- whole files -------------------------------------------------------------------------------------------------------


def tested(*settings: str) -> Any:
    """The output of ``flowkit test`` for the tests of the file `BASE`, as ``outcome_of_tests`` gives it."""
    return outcome_of_tests(BASE, *settings)


def outcome_of_tests(text: str, *settings: str) -> Any:
    """The output of ``flowkit test`` for the file's tests.

    The last setting is ``tests=[...]``, which may name ``base.jsonl``.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.yaml"
        path.write_text(BASE)
        if "trace:" in settings[-1]:
            record = Recordings(load(path), print).open(Path(folder) / "base.jsonl", planned(()), {})
            in_time(_watched, planned(()), record.observers)
            record.finish()
        path.write_text(f"{text}tests: {settings[-1].removeprefix('tests=')}\n")
        with redirect_stdout(StringIO()) as out:
            code = main(["test", str(path), "-v"])
        return code, re.sub(r"\([0-9.]+ m?s", "", out.getvalue().replace(folder, ""))


def resolved(*settings: str) -> Any:
    """The stages and the problems of a file."""
    return _told(read("base.yaml", text=BASE, overrides=settings))


def merged(*settings: str) -> Any:
    """The same for a file in a folder, with settings of the top level written into it, beside another, ``below.yaml``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.yaml"
        (Path(folder) / "below.yaml").write_text("interrupt: {speech_for: 500ms}\n")
        path.write_text(BASE + "".join(setting.replace("=", ": ", 1) + "\n" for setting in settings))
        return _told(read(path))


def _told(reading: Reading) -> Any:
    stages = [(s.id, s.kind, [c.name for c in s.candidates], s.options) for s in reading.config.stages]
    return stages, [problem.what for problem in reading.problems]


def complained(*settings: str) -> Any:
    """The problems of the pipeline without a VAD."""
    deaf = BASE.replace("  - {kind: vad, provider: scripted}\n", "")
    return [p.what for p in draw(load("base.yaml", text=deaf, overrides=settings), installed=False).problems]
