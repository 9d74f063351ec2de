"""TTFA turn by turn: the chunker against the plainest one that works, everything else equal, in virtual time.

The plain one is what most hand-written agents have: cut behind `.`, `!`, `?` and a space; behind `,`, `;`, `:` from twelve tokens
on; at the maximum. The conversations are those of pipelines/*.yaml and the replies in REPLIES, said to the same timings.
Prints JSON: for each conversation and turn the milliseconds to the first sound, plain, ours, and ours speaking on trust. Where the
plain one is earlier because it cuts a sentence that has not ended ("Dr."), the turn says so and is not counted against ours.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from flowkit.chunker import Chunk, Chunker, Reason, Rules
from flowkit.figures.metrics import measure
from flowkit.plan import Plan
from flowkit.stages.chunking import Chunking, ChunkingState
from flowkit.testing.sessions import heap_session, plan_from_yaml

ROOT = Path(__file__).resolve().parents[2]
CONVERSATIONS = ("scripted", "streaming")
REPLIES = (
    "Sure! Yes. I can help you with that today.",
    "Well, it depends on the weather, but most people find that the early morning is the best time for a walk.",
    "- Bread\n- Butter\n- A dozen eggs",
    "Let me think... the museum opens at 9 a.m. on weekdays, and it is closed on Mondays.",
    "**Good news:** your order left the warehouse this morning; it should reach you by Friday at the latest.",
    "The total is $1,234.56, which includes tax and delivery to your door within three working days.",
    "Dr. Smith can see you on 3 May at 5 p.m. Would that suit you?",
    "Das macht 3,50 Euro. Möchten Sie eine Quittung?",
)
WRONG = {("replies", 7)}
"""Where the plain chunker cuts behind an abbreviation."""
TEMPLATE = """
flowkit: 1
stages:
  - {{kind: mic, provider: scripted, speech: {speech}}}
  - {{kind: vad, provider: scripted}}
  - {{kind: asr, provider: scripted, utterances: {utterances}}}
  - {{kind: gate}}
  - {{kind: llm, provider: scripted, per_token: 25ms, replies: {replies}}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted, synthesis_per_char: 2ms}}
  - {{kind: speaker, provider: memory}}
"""
_UNIT = re.compile(r"\s+|\w{1,6}|[^\w\s]")


class PlainChunker(Chunker):
    """The plainest chunker that works; each decision needs the character behind the mark."""

    def reset(self) -> None:
        super().reset()
        self._text = ""

    def feed(self, text: str) -> list[Chunk]:
        self._text += text
        chunks = []
        while (found := self._find()) is not None:
            chunks.append(self._take(*found))
        return chunks

    def flush(self) -> list[Chunk]:
        chunks = [self._take(len(self._text), Reason.END)] if self._text.strip() else []
        self.reset()
        return chunks

    def stall(self) -> list[Chunk]:
        return []

    def pending(self) -> int:
        return len(self._text)

    def _find(self) -> tuple[int, Reason] | None:
        size = 0
        for unit in _UNIT.finditer(self._text):
            piece, end = unit.group(), unit.end()
            if end == len(self._text):
                return None
            size += not piece.isspace()
            if size >= 30:
                return end, Reason.MAX_TOKENS
            if piece in ".!?" and self._text[end].isspace():
                return end, Reason.SENTENCE
            if piece in ",;:" and size >= 12 and self._text[end].isspace():
                return end, Reason.COMMA
        return None

    def _take(self, at: int, reason: Reason) -> Chunk:
        text, self._text = self._text[:at], self._text[at:]
        return Chunk(text, text.strip(), 1, reason)


class PlainChunking(Chunking):
    """The stage with the plain chunker."""

    def fresh(self) -> ChunkingState:
        return ChunkingState(PlainChunker(Rules()))


def ttfa_ms(plan: Plan) -> list[float | None]:
    engine = heap_session(plan)
    turns = measure(list(engine.journal), plan=plan).turns
    return [None if turn.ttfa_us is None else turn.ttfa_us / 1000 for turn in turns]


def with_chunker(plan: Plan, cls: type[Chunking] | None = None, **options: Any) -> Plan:
    from dataclasses import replace

    def changed(stage: Any) -> Any:
        if stage.kind != "chunker":
            return stage
        return replace(stage, cls=cls or stage.cls, options=stage.options.model_copy(update=options))

    return replace(plan, stages=tuple(map(changed, plan.stages)))


def replies_plan() -> Plan:
    count = len(REPLIES)
    speech = json.dumps([{"at": f"{15 * i}s", "lasts": "1s"} for i in range(count)])
    utterances = json.dumps([f"Question {i + 1}?" for i in range(count)])
    replies = json.dumps([{"text": reply} for reply in REPLIES], ensure_ascii=False)
    return plan_from_yaml(TEMPLATE.format(speech=speech, utterances=utterances, replies=replies))


def main() -> int:
    plans = {name: plan_from_yaml((ROOT / "pipelines" / f"{name}.yaml").read_text()) for name in CONVERSATIONS}
    plans["replies"] = replies_plan()
    result = {}
    for name, plan in plans.items():
        plain, ours = ttfa_ms(with_chunker(plan, PlainChunking)), ttfa_ms(plan)
        trusting = ttfa_ms(with_chunker(plan, speculate_end=True))
        result[name] = [
            {"turn": i + 1, "plain_ms": p, "ours_ms": o, "on_trust_ms": t, "plain_cuts_wrongly": (name, i + 1) in WRONG}
            for i, (p, o, t) in enumerate(zip(plain, ours, trusting, strict=True))
        ]
    turns = [turn for turns in result.values() for turn in turns]
    never_later = all(
        (turn["ours_ms"] <= turn["plain_ms"] or turn["plain_cuts_wrongly"]) and turn["on_trust_ms"] <= turn["ours_ms"]
        for turn in turns
    )
    print(json.dumps({"name": "first_clause", "conversations": result, "never_later": never_later}, indent=1))
    return 0 if never_later else 1


if __name__ == "__main__":
    sys.exit(main())
