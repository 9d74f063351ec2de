"""What answers that are begun early bring and cost: how much sooner the first sound is there, and how much is thrown away.

Users say sentences with pauses inside them to a pipeline of scripted providers, in virtual time. The ASR gives each word
80 ms after it was said. The predictor is `words`.

    python tests/benchmarks/bench_preempt.py [SET...]
    python tests/benchmarks/bench_preempt.py --question

SET are settings as for `--set`. Prints JSON, without and with `preempt`. `over_ideal_ms` is from
the time at which a turn was released and its first audio was there to its first sound. `waste` is the share of the model's
tokens that were given up. With `--question` the shipped question is asked, with silero and moonshine in virtual time.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.config import load
from flowkit.engine import Row
from flowkit.figures.metrics import measure
from flowkit.messages import EndOfUtterance, Final, Frames, Message, Partial, Token
from flowkit.plan import resolve
from flowkit.providers.inline import Answer, InlineCall, Script
from flowkit.replay.heap import HeapPump
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.testing.sessions import scripts_of
from flowkit.testing.turns.rehearsal import rehearsed

TURNS = (
    ("What is the capital of France?",),
    ("Can you tell me when you open on Sunday?",),
    ("I would like to book a table", "for four people tomorrow evening."),
    ("Yes, please.",),
    ("My number is", "five five five", "one two three four."),
    ("Do you have anything without nuts?", "My son is allergic."),
    ("I was wondering if", "you could move my appointment to Friday."),
    ("Thank you.",),
    ("How much is the large one?",),
    ("Well,", "let me think,", "the blue one, please."),
    ("Is there parking nearby?",),
    ("No, that's all.",),
    ("Could you repeat the address?",),
    ("I need a taxi because", "my train leaves at nine."),
    ("Where can I pick it up?",),
    ("We are six, but", "two of us come later."),
)
PAUSE_MS, WORD_MS, GAP_MS = 350, 280, 9_000
PREEMPT = "stages.llm.preempt={}"
QUESTION = f"""flowkit: 1
stages:
  - {{kind: mic, provider: wav, path: {Path(__file__).resolve().parents[2] / "pipelines/audio/question.wav"}}}
  - {{kind: vad, provider: silero}}
  - {{kind: asr, provider: moonshine}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{text: We open at nine in the morning and we close at six.}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, per_char: 60ms}}
  - {{kind: speaker}}
"""
_REPLY = "Of course, I can help you with that. It takes a moment. Is there anything else that I can do for you today?"


def schedule() -> tuple[list[tuple[int, int]], list[tuple[int, str, int]]]:
    """When the user speaks (begin, end in ms), and each word: when it was said, the word, and the number of its turn."""
    spans, words, at = [], [], 300
    for number, turn in enumerate(TURNS):
        for phrase in turn:
            begin = at
            for word in phrase.split():
                at += WORD_MS
                words.append((at, word, number))
            spans.append((begin, at))
            at += PAUSE_MS
        at += GAP_MS
    return spans, words


class Words(Script):
    """An ASR that gives each word 80 ms after it was said."""

    def __init__(self, words: list[tuple[int, str, int]]) -> None:
        self._words, self._from = words, 0

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        now_ms = (item.index + item.count) * 20 if isinstance(item, Frames) else 0
        if isinstance(item, Frames) and any(now_ms - 20 < at <= now_ms for at, _, _ in self._words):
            return [Answer(80_000, Partial(self._text(now_ms)))]
        if isinstance(item, EndOfUtterance):
            until = (item.last_voiced + 2) * 20
            text, self._from = self._text(until), until
            return [Answer(80_000, Final(text, item.utterance))]
        return ()

    def _text(self, until_ms: int) -> str:
        return " ".join(word for at, word, _ in self._words if self._from < at <= until_ms)


def pipeline() -> str:
    spans, _ = schedule()
    speech = ", ".join(f"{{at: {begin}ms, lasts: {end - begin}ms}}" for begin, end in spans)
    return f"""flowkit: 1
stages:
  - {{kind: mic, provider: scripted, speech: [{speech}]}}
  - {{kind: vad, provider: scripted, end: {{complete: 300ms, unsure: 500ms, incomplete: 1200ms}}}}
  - {{kind: asr, provider: scripted}}
  - {{kind: turn, provider: words, language: en}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, replies: [{{text: "{_REPLY}"}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker}}
"""


def measured(overrides: Iterable[str]) -> dict[str, Any]:
    """The figures with these settings."""
    plan = resolve(load("preempt.yaml", text=pipeline(), overrides=tuple(overrides)))
    pump = HeapPump(plan, scripts_of(plan) | {"asr": Words(schedule()[1])})
    pump.run(until_us=600_000_000)
    rows = pump.engine.journal.rows
    turns = measure(rows, plan=plan).turns
    early = [turn for turn in turns if turn.early is not None]
    answered = [turn for turn in early if turn.early is not None and turn.early.saved_us]
    in_vain = sum(turn.early.tokens for turn in early if turn.early is not None)
    return {
        "turns": len(turns),
        "ttfa_ms_p50": median(turn.ttfa_us for turn in turns if turn.ttfa_us is not None) / 1000,
        "begun_early": sum(turn.early.tries for turn in early if turn.early is not None),
        "released": len(answered),
        "over_ideal_ms_p50": median([_over_us(turn.parts_us) for turn in answered] or [0]) / 1000,
        "saved_ms_p50": median([turn.early.saved_us for turn in answered if turn.early] or [0]) / 1000,
        "waste": round(in_vain / (_tokens(rows) or 1), 3),
        "characters_in_vain": sum(turn.early.characters for turn in early if turn.early is not None),
    }


def _over_us(parts_us: tuple[int, ...] | None) -> int:
    """From the time at which the turn was released and its first audio was there to the first sound."""
    assert parts_us is not None
    return parts_us[-1]


def _tokens(rows: list[Row]) -> int:
    """All tokens that the model has given."""
    return sum(row.stage == "llm" and isinstance(row.message, Token) for row in rows)


def question() -> dict[str, float]:
    """TTFA in ms for the shipped question: with one silence, with the stage `turn`, and with answers that are begun early too."""
    end = "stages.vad.end={complete: 200ms, unsure: 500ms, incomplete: 1200ms}"
    turned = QUESTION.replace("  - {kind: gate}", "  - {kind: turn, provider: words}\n  - {kind: gate}")
    found = {}
    for name, text, overrides in (
        ("end: 400ms", QUESTION, []),
        ("turn", turned, [end]),
        ("turn, preempt: {}", turned, [end, PREEMPT]),
        ("turn, preempt: {stable_for: 100ms}", turned, [end, "stages.llm.preempt={stable_for: 100ms}"]),
    ):
        plan = resolve(load("question.yaml", text=text, overrides=tuple(overrides)))
        rows = rehearsed(plan, _answered)
        found[name] = (measure(rows, plan=plan).turns[0].ttfa_us or 0) / 1000
    return found


async def _answered(pump: TrioPump, clock: SessionClock) -> None:
    await trio.sleep_until(clock.at_s(8_000_000))


def main() -> None:
    """Measure without and with answers that are begun early."""
    given = sys.argv[1:]
    if given == ["--question"]:
        print(json.dumps(question(), indent=1))
        return
    patient = [setting for setting in given if not setting.startswith("stages.llm.preempt")]
    print(json.dumps({"patient": measured(patient), "early": measured([PREEMPT, *given])}, indent=1))


if __name__ == "__main__":
    main()
