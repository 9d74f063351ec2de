"""Conversations of a reacting person with an agent of random providers: to predict, and then to run for real.

    recorded = talk(7)
    predicted = simulate(recorded.trace, overrides=("stages.vad.end=600ms",))
    true = talk(7, ("stages.vad.end=600ms",))

Everything random depends on the seed and on what is said, not on when it is asked for. So the second talk has the same
person, the same words, and the same delays for the same words.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flowkit.config import load
from flowkit.engine import Row
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import measure
from flowkit.figures.report import Report
from flowkit.messages import (
    Ask,
    Audio,
    Done,
    EndOfUtterance,
    Final,
    Frames,
    Message,
    Partial,
    Probability,
    Speak,
    SpeechStarted,
    Token,
)
from flowkit.plan import Plan, resolve
from flowkit.plan.show import show
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of
from flowkit.trace import names
from flowkit.trace.chunks import Cutter, digest_of
from flowkit.trace.reader import Head, SessionEnd, StoredChunk, Trace
from tests.fidelity.person import FRAME_US, Person

PIPELINE = """flowkit: 1
name: talk
stages:
  - {kind: mic, provider: scripted}
  - {kind: vad, provider: scripted, end: 400ms}
  - {kind: asr, provider: scripted}
  - {kind: gate}
  - {kind: llm, provider: scripted}
  - {kind: chunker}
  - {kind: tts, provider: scripted}
  - {kind: speaker}
"""
_WORDS = (
    "the town",
    "a river",
    "bridges",
    "is old",
    "was built",
    "we have",
    "many",
    "of them",
    "quite",
    "seven",
    "you see",
)


@dataclass(frozen=True, slots=True)
class Talk:
    """A session that was run: its figures, rows, and trace."""

    report: Report
    rows: list[Row]
    trace: Trace


class Noise:
    """Dice by name: the same name gives the same dice, whatever else was asked before."""

    def __init__(self, seed: int, fresh: int = 0) -> None:
        self._seed, self._fresh = seed, fresh

    def content(self, *name: object) -> random.Random:
        """Dice for what is said."""
        return random.Random(f"{self._seed}:{name}")

    def delay(self, *name: object) -> random.Random:
        """Dice for how long it takes."""
        return random.Random(f"{self._seed}:{self._fresh}:{name}")


class Detector(Script):
    """A VAD that answers every frame, or, as silero does, only where a window of 32 ms ends in it."""

    def __init__(self, person: Person, noise: Noise) -> None:
        self._person = person
        self._windows = noise.content("vad").random() < 0.5
        self._latency_us = noise.content("vad latency").choice((0, 1_000, 6_000))

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if not isinstance(item, Frames):
            return ()
        at = item.index
        if self._windows and (at + 1) * FRAME_US // 32_000 == at * FRAME_US // 32_000:
            return ()
        return ((self._latency_us, Probability(at, round(self._person.frames[at].p, 3))),)


class Transcriber(Script):
    """An ASR that decodes at the end of an utterance, or, as moonshine does, ahead: after 240 ms of quiet."""

    def __init__(self, person: Person, noise: Noise) -> None:
        self._person, self._noise = person, noise
        dice = noise.content("asr")
        self._ahead = dice.random() < 0.5
        self._usual_us = dice.uniform(60_000, 250_000)
        self._every = dice.choice((10, 15, 30))
        self._from = 0
        self._since: int | None = None
        self._quiet = 0
        self._told = ""

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _text(self, until: int) -> str:
        return " ".join(f.word for f in self._person.frames[self._from : until] if f.word)

    def _takes_us(self, text: str) -> int:
        return round(self._usual_us * self._noise.delay("asr", text).lognormvariate(0, 0.25))

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if isinstance(item, SpeechStarted):
            self._since = item.frame if self._since is None else self._since
        elif isinstance(item, EndOfUtterance):
            return self._final(item)
        elif isinstance(item, Frames) and self._since is not None:
            return self._partial(item.index)
        return ()

    def _partial(self, at: int) -> Iterator[tuple[int, Message]]:
        assert self._since is not None
        self._quiet = 0 if self._person.frames[at].voiced else self._quiet + 1
        ahead = self._ahead and self._quiet == 12
        if ahead or ((at - self._since) % self._every == self._every - 1 and not self._quiet):
            text = self._text(at + 1)
            if text and text != self._told:
                self._told = text
                yield self._takes_us(text) if ahead else 40_000, Partial(text)

    def _final(self, end: EndOfUtterance) -> Iterator[tuple[int, Message]]:
        text = self._text(end.last_voiced + 4)
        passed_us = (len(self._person.frames) - end.last_voiced - 1) * FRAME_US
        self._from, self._since, self._told = end.last_voiced + 4, None, ""
        takes_us = self._takes_us(text)
        yield max(0, 240_000 + takes_us - passed_us) if self._ahead else takes_us, Final(text, end.utterance)


class Model(Script):
    """An LLM whose reply depends on the user's text."""

    def __init__(self, noise: Noise) -> None:
        self._noise = noise
        dice = noise.content("llm")
        self._first_us, self._token_us = dice.uniform(150_000, 600_000), dice.uniform(6_000, 40_000)

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Ask)
        return InlineCall(opened=lambda: self._reply(request.text))

    def _reply(self, asked: str) -> Iterator[tuple[int, Message]]:
        said, delays = self._noise.content("reply", asked), self._noise.delay("reply", asked)
        at_us, index = self._first_us * delays.lognormvariate(0, 0.3), 0
        for _ in range(said.randint(1, 4)):
            for place in range(length := said.randint(2, 9)):
                end = "." if place == length - 1 else ("," if said.random() < 0.15 else "")
                yield round(at_us), Token(index, f" {said.choice(_WORDS)}{end}")
                index, at_us = index + 1, at_us + self._token_us * delays.lognormvariate(0, 0.4)
        yield round(at_us), Done()


class Voice(Script):
    """A TTS whose audio depends on the text."""

    def __init__(self, noise: Noise) -> None:
        self._noise = noise
        dice = noise.content("tts")
        self._first_us, self._char_us = dice.uniform(60_000, 250_000), dice.uniform(50_000, 75_000)
        self._share = dice.uniform(0.05, 0.6)

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Speak)
        return InlineCall(opened=lambda: self._spoken(request))

    def _spoken(self, speak: Speak) -> Iterator[tuple[int, Message]]:
        dice, delays = self._noise.content("voice", speak.text), self._noise.delay("voice", speak.text)
        total = round(len(speak.text) * self._char_us * dice.lognormvariate(0, 0.08) * 16_000 / 1e6)
        at_us = self._first_us * delays.lognormvariate(0, 0.25)
        for first in range(0, total, 1_600):
            yield round(at_us), Audio(speak.clause, first, min(1_600, total - first), 16_000, 0)
            at_us += 100_000 * self._share * delays.uniform(0.7, 1.3)
        yield round(at_us), Done()


@cache
def plan_of(overrides: tuple[str, ...] = ()) -> tuple[Plan, str]:
    """The plan with these settings, and its configuration as a trace holds it."""
    config = load("talk.yaml", text=PIPELINE, overrides=overrides)
    plan = resolve(config)
    return plan, show(config, plan)


def talk(seed: int, overrides: tuple[str, ...] = (), *, fresh: int = 0) -> Talk:
    """Run the conversation of `seed` with these settings.

    `fresh`: another number has the same words with other delays of the providers.
    """
    plan, config = plan_of(overrides)
    person, noise = Person(seed), Noise(seed, fresh)
    scripts = scripts_of(plan) | {
        "mic": person,
        "vad": Detector(person, noise),
        "asr": Transcriber(person, noise),
        "llm": Model(noise),
        "tts": Voice(noise),
    }
    pump = HeapPump(plan, scripts)
    person.follow(pump.engine)
    pump.run(until_us=600_000_000)
    rows = [*person.ear.rows, *pump.engine.journal.take()]
    reason = pump.engine.finished
    assert reason == "input_ended", (seed, overrides, reason)
    trace = trace_of(plan, config, rows, person.levels(), reason)
    return Talk(measure(rows, plan=trace.layout, voiced=trace.reference), rows, trace)


def trace_of(plan: Plan, config: str, rows: list[Row], levels: bytes = b"", reason: str | None = None) -> Trace:
    """The trace of a session, as ``read_trace`` would read it. Without a `reason` the session was killed."""
    layout, cutter = layout_of(plan), Cutter(layout_of(plan))
    chunks = tuple(StoredChunk(c.first, c.rows, c.text(layout)) for c in (*cutter.add(rows), *cutter.finish()))
    head = Head(names.FORMAT, "0", plan.name, config, layout, plan.input_rate_hz, 0, {}, None)
    end = SessionEnd(reason, digest_of(chunk.text for chunk in chunks), len(rows), (), ()) if reason else None
    return Trace(Path("talk.jsonl"), head, chunks, end, levels, ())
