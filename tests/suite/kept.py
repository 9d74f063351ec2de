"""Makes the kept traces of scripted sessions again: ``python -m tests.suite.kept [NAME...]``.

Each session is short and has what a calm conversation lacks: full queues at an interrupt, two interrupts in a turn, one that
is withdrawn, providers that fail or are late, items that are stale, a long history. Run it after a change of what stages
send, look at what ``flowkit approve --dry-run traces`` says, and approve.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from flowkit.config import load
from flowkit.engine import CallCancelled, CallOpened, Effect, Stimulus
from flowkit.messages import Audio, Message, Token
from flowkit.plan import Plan, resolve
from flowkit.plan.show import show
from flowkit.providers.inline import Script
from flowkit.replay.heap import HeapPump
from flowkit.testing.sessions import scripts_of
from flowkit.trace.recorder import open_recorder

FOLDER = Path(__file__).resolve().parents[2] / "traces"
_LONG = (
    "Paris lies on the Seine, and it has many bridges. It is *old*, and costs 20 euros a day. Come in spring, when it is "
    "mild. Take the metro, for it is quick. And do not miss the markets on Sunday"
)


def pipeline(speech: str, said: tuple[str, ...], replies: str, **stages: str) -> str:
    """A scripted pipeline. `stages` adds options to a stage by kind."""
    fixed = {
        "mic": f"provider: scripted, speech: [{speech}]",
        "vad": "provider: scripted",
        "asr": f"provider: scripted, utterances: {list(said)!r}",
        "gate": "",
        "llm": f"provider: scripted, replies: [{replies}]",
        "chunker": "",
        "tts": "provider: scripted",
        "speaker": "",
    }
    kinds = [*fixed, *(["tools"] if "tools" in stages else [])]
    options = [", ".join(filter(None, (f"kind: {kind}", fixed.get(kind), stages.get(kind)))) for kind in kinds]
    return "flowkit: 1\nname: kept\nstages:\n" + "".join(f"  - {{{told}}}\n" for told in options)


SESSIONS: Mapping[str, str] = {
    "full-queues": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 3100ms, lasts: 600ms}",
        ("Tell me about Paris.", "Stop."),
        f"{{text: '{_LONG}'}}, {{text: Fine.}}",
        llm="per_token: 3ms, queue: {max: 2}",
        chunker="max_tokens: 9, queue: {max: 3}",
        tts="per_char: 40ms, piece: 33ms, per_piece: 1ms, rate: 22050, queue: {max: 1}",
        speaker="queue: {max: 2}, lead: 60ms",
    ),
    "two-interrupts": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 2300ms, lasts: 300ms}, {at: 5200ms, lasts: 500ms}",
        ("Tell me about Paris.", "", "And Madrid?"),
        f"{{text: '{_LONG}', to: Tell me about Paris.}}, {{text: It is high., to: 'And Madrid?'}}",
        llm="per_token: 60ms",
        tts="per_char: 40ms",
    ),
    "withdrawn": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 2300ms, lasts: 80ms}, {at: 3800ms, lasts: 1500ms}, {at: 6500ms, lasts: 500ms}",
        ("Tell me about Paris.", "Ah, so", "okay", "wait, stop"),
        f"{{text: '{_LONG}'}}, {{text: Fine.}}",
        vad="speech_for: 200ms",
        gate="ignore: [okay], resume_after: 1s",
        tts="per_char: 50ms",
    ),
    "late-and-failing": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 3s, lasts: 500ms}, {at: 5s, lasts: 400ms}, {at: 8s, lasts: 400ms}",
        ("One, please.", "Two, please.", "Three, please.", ""),
        "{text: 'One comes first, then two. Then three.', fail_after: 5}, {text: '...'}, {text: Third.}",
        llm="per_token: 90ms, idle_timeout: 200ms",
        tts="first_audio: 150ms, synthesis_per_char: 8ms, first_item_timeout: 300ms",
    ),
    "no-voice": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 3s, lasts: 400ms}",
        ("One, please.", "Two, please."),
        "{text: 'One. Two, and this is longer. Three. Four. Five.'}",
        tts="fail: true",
    ),
    "long-history": pipeline(
        ", ".join(f"{{at: {200 + 1500 * turn}ms, lasts: 200ms}}" for turn in range(7)),
        tuple(f"Question {turn}?" for turn in range(7)),
        "{text: Answer one.}, {text: 'A *longer* answer, and so on and on.'}",
        vad="end: 200ms",
        llm="max_history: 3, first_token: 60ms",
        tts="per_char: 20ms, first_audio: 40ms",
    ),
    "cut-for-length": pipeline(
        "{at: 200ms, lasts: 2500ms}, {at: 4500ms, lasts: 400ms}, {at: 5100ms, lasts: 300ms}",
        ("I say a lot,", "and go on,", "and on.", "Then this", "and that."),
        "{text: I see. Go on.}",
        vad="longest: 1s, end: 300ms",
        asr="final_after: 400ms",
        gate="final_timeout: 2s",
        tts="per_char: 20ms",
    ),
    "spoken-on-trust": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 5s, lasts: 400ms}",
        ("How much is it?", "Thanks."),
        "{tokens: ['Look at fine', '.', 'com, it is there', '.', ' Or at', ' another, i.e.', ' fair.']},"
        " {tokens: ['You are welcome', '.', ' Bye.']}",
        llm="per_token: 400ms",
        chunker="speculate_end: true, first: {min_tokens: 2}, queue: {max: 2, when_full: drop_oldest}",
    ),
    "dropped-words": pipeline(
        "{at: 200ms, lasts: 500ms}",
        ("Tell me about Paris.",),
        f"{{text: '{_LONG}'}}",
        llm="per_token: 10ms",
        chunker="max_tokens: 8, queue: {max: 4, when_full: drop_oldest}",
        tts="per_char: 20ms, per_piece: 60ms, queue: {max: 1}",
        speaker="queue: {max: 2}, lead: 60ms",
    ),
    "silent-user": pipeline(
        "{at: 400ms, lasts: 300ms}, {at: 5500ms, lasts: 400ms}",
        ("Who is there?", "Hello."),
        "{text: Me.}, {text: Good day.}",
        mic="length: 14s",
        gate="greeting: {text: 'Hello, this is Paris.', interruptible: false}, idle: {after: 2s, say: 'Are you there?', times: 1,"
        " then: end_session}",
        tts="per_char: 40ms",
    ),
    "stale": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 2s, lasts: 500ms}",
        ("Tell me about Paris.", "And Madrid?"),
        f"{{text: '{_LONG}'}}, {{text: It is high.}}",
        llm="per_token: 100ms",
        tts="per_char: 40ms, per_piece: 90ms",
    ),
    "tools": pipeline(
        "{at: 200ms, lasts: 500ms}, {at: 3s, lasts: 500ms}",
        ("Is a table free?", "Then book it."),
        "{text: 'Let me look.', to: 'Is a table free?', calls: [{name: look}]}, {text: 'Yes, at eight.', after: look},"
        " {text: '', to: Then book it., calls: [{name: book}]}, {text: It is booked., after: book}",
        tools="provider: scripted, tools: [{name: look, http: {url: 'http://localhost/look'}},"
        " {name: book, http: {url: 'http://localhost/book'}}],"
        " outcomes: [{tool: look, after: 400ms, says: free}, {tool: book, after: 200ms, fails: true, says: The table is gone.}]",
        tts="per_char: 30ms",
    ),
}


class _GoesOn(HeapPump):
    """A pump whose providers send items more after they were cancelled, as one does that has not heard of it yet: one at
    once, and one when the stage has already opened its next call."""

    def __init__(self, plan: Plan, scripts: Mapping[str, Script]) -> None:
        super().__init__(plan, scripts)
        self._cancelled: dict[int, int] = {}

    def _apply(self, effects: list[Effect]) -> None:
        super()._apply(effects)
        for effect in effects:
            if isinstance(effect, CallCancelled):
                self._cancelled[effect[0]] = effect[1]
                self._send(effect[0], effect[1])
            elif isinstance(effect, CallOpened) and effect[0] in self._cancelled:
                self._send(effect[0], self._cancelled.pop(effect[0]))

    def _send(self, stage: int, call: int) -> None:
        is_llm = self._plan.stages[stage].kind == "llm"
        late: Message = Token(99, " late") if is_llm else Audio(0, 0, 160, 16_000, 160)
        self._apply(self.engine.advance(self._now_us, [Stimulus(stage, call, late, self._now_us)]))


def plan_of(name: str) -> tuple[Plan, str]:
    """The plan of a session, and its configuration."""
    config = load(f"{name}.yaml", text=SESSIONS[name])
    plan = resolve(config)
    return plan, show(config, plan, defaults=False)


def keep(name: str, folder: Path = FOLDER) -> Path:
    """Run a session and write its trace, without sound."""
    plan, config = plan_of(name)
    path = folder / f"{name}.jsonl"
    path.unlink(missing_ok=True)
    pump = (_GoesOn if name == "stale" else HeapPump)(plan, scripts_of(plan))
    recorder = open_recorder(path, plan, config=config, audio=False)
    pump.run(until_us=60_000_000)
    recorder.begin()
    recorder.rows(pump.engine.journal.rows)
    recorder.close(pump.engine.finished or "closed")
    return path


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SESSIONS:
        print(keep(chosen))
