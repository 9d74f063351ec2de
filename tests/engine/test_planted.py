"""Bugs planted one at a time: each must be caught by the promise that forbids it, or the promise checks nothing."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import pytest

from flowkit.engine import Engine, Stimulus
from flowkit.engine.mailbox import Envelope, Inbox, Push
from flowkit.engine.slots import Slot
from flowkit.errors import IllegalTurn
from flowkit.messages import Audio, Clause, EndOfReply, Message, Token, Utterance
from flowkit.plan.graph import Plan
from flowkit.stages.base import Actions, Emit
from flowkit.stages.chunking import Chunking
from flowkit.stages.gate import Gate
from flowkit.stages.playback import Piece, Playback, PlaybackState
from flowkit.stages.question import Question
from flowkit.stages.tts import TtsOrder
from flowkit.stages.turn import TABLE, Do, Event, Turn
from flowkit.testing import invariants
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import Broken
from flowkit.testing.sessions import heap_session, scripted_plan

LONG = "This is one sentence. Here comes the next one. And a third, which is longer than both of them. " * 5
PLAN = scripted_plan(
    mic={
        "speech": [
            {"at": "100ms", "lasts": "200ms"},
            {"at": "1540ms", "lasts": "300ms"},
            {"at": "2900ms", "lasts": "300ms"},
        ]
    },
    vad={"end": "200ms", "speech_for": "40ms"},
    asr={"utterances": ("One.", "Two.", "Three.")},
    llm={
        "replies": ({"text": LONG}, {"text": LONG}, {"text": "Short. And sweet."}),
        "first_token": "60ms",
        "per_token": "5ms",
    },
    tts={"per_char": "30ms", "queue": {"max": 2}},
    chunker={"queue": {"max": 4}, "max_tokens": 8},
)

Monkey = pytest.MonkeyPatch
Promise = Callable[[Evidence], None]


def noisy(*more: str) -> Plan:
    """A voice without words interrupts the first reply; `more`: when the user speaks again."""
    return scripted_plan(
        mic={"speech": [{"at": at, "lasts": "300ms"} for at in ("100ms", "2s", *more)]},
        asr={"utterances": ("One.", "", "Two.")},
        llm={"replies": ({"text": LONG},)},
        tts={"per_char": "20ms"},
    )


def evidence_of_a_session(plan: Plan = PLAN) -> Evidence:
    """The record of a session. A planted bug may end it early with an illegal event."""
    evidence = Evidence(plan)
    with suppress(IllegalTurn):
        heap_session(plan, evidence, limit_us=20_000_000)
    return evidence


def caught(promise: Promise, plan: Plan = PLAN) -> None:
    evidence = evidence_of_a_session(plan)
    with pytest.raises(Broken):
        promise(evidence)


def test_without_a_bug_every_promise_is_kept_and_there_is_something_to_keep() -> None:
    evidence = evidence_of_a_session()
    invariants.check(evidence)
    assert len(evidence.interrupts) == 2
    assert evidence.engine.state("llm").past.history[0].agent.startswith("This is one")
    assert sum(inbox.blocked_us for _, inbox in evidence.engine.inboxes()) > 0


# -- interrupts --------------------------------------------------------------------------------------------------------


def test_an_interruption_for_nothing_that_is_not_taken_back(monkeypatch: Monkey) -> None:
    invariants.check(evidence_of_a_session(noisy()))
    monkeypatch.setitem(TABLE, (Turn.CONCLUDING, Event.VAIN), (Turn.LISTENING, Do.NOTHING))
    caught(invariants.no_turn_is_lost_in_silence, noisy())


def test_a_reply_that_is_given_again_whole_is_remembered_in_part(monkeypatch: Monkey) -> None:
    def forgetful(self: Question) -> Utterance:
        heard, self.heard, self.asked, self.cut_off = "".join(self.heard), [], 2, False
        return Utterance(self.number, " ".join(self.parts), "", heard)

    monkeypatch.setattr(Question, "again", forgetful)
    caught(invariants.history_is_what_was_heard, noisy("9s"))


def without_drain(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(Engine, "_drain", lambda self, slot: None)


def test_no_drain(monkeypatch: Monkey) -> None:
    without_drain(monkeypatch)
    caught(invariants.interrupts_leave_nothing)


def without_epochs(monkeypatch: Monkey) -> None:
    handle = Engine._handle

    def trusting(self: Engine, slot: Slot, envelope: Envelope, call: int = 0) -> None:
        epoch = envelope[4]
        if slot.replying and epoch < slot.epoch:
            slot.epoch = epoch
        handle(self, slot, envelope, call)

    monkeypatch.setattr(Engine, "_handle", trusting)


@pytest.mark.parametrize("promise", [invariants.nothing_stale_is_handled, invariants.nothing_stale_sounds])
def test_no_epoch_check(monkeypatch: Monkey, promise: Promise) -> None:
    """Draining hides it where everything stale waits at the instant of the interrupt; late items are what the check is for."""
    without_epochs(monkeypatch)
    without_drain(monkeypatch)
    caught(promise)


def test_no_reset(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(TtsOrder, "reset", lambda self, state: state)
    monkeypatch.setattr(Evidence, "_is_fresh", fresh_by_the_original(TtsOrder))
    caught(invariants.interrupts_leave_nothing)


def fresh_by_the_original(cls: type[TtsOrder]) -> Callable[[Evidence, str], bool]:
    def is_fresh(self: Evidence, stage_id: str) -> bool:
        fresh = self.plan.stage(stage_id).cls(self.plan.stage(stage_id).options).fresh()
        return stage_id != cls.kind or self.engine.state(stage_id) == fresh

    return is_fresh


def test_playback_that_goes_on(monkeypatch: Monkey) -> None:
    """An interrupt that silences nothing: audio that was sent is played to its end."""
    step = Playback.step

    def deaf(self: Playback, state: PlaybackState, message: Message, now_us: int) -> Actions:
        return [action for action in step(self, state, message, now_us) if "Silence" not in repr(action)]

    monkeypatch.setattr(Playback, "step", deaf)
    caught(invariants.nothing_stale_sounds)


def test_history_of_what_was_generated(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(
        Playback, "_heard_text", lambda self, state, audio, played, total: state.texts[audio.clause].text
    )
    caught(invariants.history_is_what_was_heard)


def test_an_epoch_that_does_not_rise(monkeypatch: Monkey) -> None:
    ask = Gate._ask

    def timid(self: Gate, utterance: Utterance) -> list[Any]:
        return ask(self, utterance)[1:]

    monkeypatch.setattr(Gate, "_ask", timid)
    caught(invariants.turns_are_numbered)


# -- order -------------------------------------------------------------------------------------------------------------


def test_an_end_marker_in_the_control_lane(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(EndOfReply, "lane", "C")
    caught(invariants.ends_come_last)


def test_two_messages_swapped(monkeypatch: Monkey) -> None:
    push = Inbox.push

    def swapping(self: Inbox, envelope: Envelope, beyond: int) -> bool:
        done = push(self, envelope, beyond)
        if done and len(self.queue) > 1:
            self.queue[-1], self.queue[-2] = self.queue[-2], self.queue[-1]
        return done

    monkeypatch.setattr(Inbox, "push", swapping)
    caught(invariants.order_is_kept)


def test_a_step_before_its_row(monkeypatch: Monkey) -> None:
    """Every row is written one message late."""
    late: list[Any] = []

    class Lagging(list[Any]):
        def append(self, row: Any) -> None:
            late.append(row)
            if len(late) > 1:
                super().append(late.pop(0))

    init = Engine.__init__

    def lagging(self: Engine, plan: Any) -> None:
        init(self, plan)
        self.journal._entries = Lagging()
        self._append = self.journal.append = self.journal._entries.append

    monkeypatch.setattr(Engine, "__init__", lagging)
    caught(invariants.rows_come_first)


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_an_unbounded_queue(monkeypatch: Monkey) -> None:
    init = Inbox.__init__

    def endless(self: Inbox, *args: Any) -> None:
        init(self, *args)
        self.max = 1_000_000

    monkeypatch.setattr(Inbox, "__init__", endless)
    caught(invariants.bounds_hold)


def hoarding(monkeypatch: Monkey, cls: Any, kind: type[Message], until: int) -> None:
    """The stage keeps `until` messages of a kind to itself before it handles any."""
    step, kept = cls.step, []

    def hoard(self: Any, state: Any, message: Message, now_us: int) -> Actions:
        if isinstance(message, kind):
            kept.append(message)
            if len(kept) < until:
                return ()
            actions = [action for one in kept for action in step(self, state, one, now_us)]
            kept.clear()
            return actions
        return step(self, state, message, now_us)

    monkeypatch.setattr(cls, "step", hoard)


@pytest.mark.parametrize(
    ("cls", "kind", "until"), [(Chunking, Token, 60), (TtsOrder, Clause, 5), (Playback, Audio, 100)]
)
def test_a_reducer_that_hoards(monkeypatch: Monkey, cls: Any, kind: type[Message], until: int) -> None:
    hoarding(monkeypatch, cls, kind, until)
    caught(invariants.nothing_is_hoarded)


def test_playback_that_takes_all_it_can_get(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(Playback, "accepts", lambda self, state: self.everything)
    caught(invariants.nothing_is_hoarded)


# -- loss --------------------------------------------------------------------------------------------------------------


def test_a_clause_lost_on_the_way(monkeypatch: Monkey) -> None:
    emit = Engine._emit

    def losing(self: Engine, slot: Slot, port: str, message: Message, n: int) -> None:
        if not (isinstance(message, Clause) and message.index == 1):
            emit(self, slot, port, message, n)

    monkeypatch.setattr(Engine, "_emit", losing)
    caught(invariants.nothing_is_lost)


def test_a_clause_lost_in_the_chunker(monkeypatch: Monkey) -> None:
    step = Chunking.step

    def losing(self: Chunking, state: Any, message: Message, now_us: int) -> Actions:
        actions = step(self, state, message, now_us)
        return [
            a for a in actions if not (isinstance(a, Emit) and isinstance(a.message, Clause) and a.message.index == 1)
        ]

    monkeypatch.setattr(Chunking, "step", losing)
    caught(invariants.clauses_hold_the_reply)


def test_a_queue_that_drops_markers(monkeypatch: Monkey) -> None:
    def dropping(self: Inbox, envelope: Envelope) -> tuple[Push, Envelope]:
        return Push.DROPPED_NEW, envelope

    monkeypatch.setattr(Inbox, "full", dropping)
    caught(invariants.markers_are_kept)


# -- time --------------------------------------------------------------------------------------------------------------


def relative(self: Playback, state: PlaybackState, audio: Audio) -> Piece:
    """What `_placed` must not do: count from now, which is whenever the timer happened to fire."""
    at_us = max(state.until_us, NOW[0] + self.options.lead)
    state.until_us = at_us + audio.samples * 1_000_000 // audio.rate_hz
    return Piece(audio, at_us, state.until_us)


NOW = [0]


def late_by(evidence: Evidence, lateness: Iterable[int]) -> None:
    """Every deadline reaches the engine late, as on a busy machine."""
    attach, late = evidence.attach, iter(lateness)

    def attached(engine: Engine) -> None:
        advance = engine.advance

        def advanced(now_us: int, stimuli: Iterable[Stimulus] = ()) -> Any:
            NOW[0] = now_us if stimuli else now_us + next(late)
            return advance(NOW[0], stimuli)

        engine.advance = advanced  # type: ignore[method-assign]
        attach(engine)

    evidence.attach = attached  # type: ignore[method-assign]


def plays_of_a_late_session() -> tuple[list[int], list[int]]:
    """When each piece of an uninterrupted reply is due: on time, and with every timer up to 5 ms late."""
    plan = scripted_plan(
        mic={"speech": [{"at": "100ms", "lasts": "200ms"}]},
        asr={"utterances": ("One.",)},
        llm={"replies": ({"text": LONG},), "per_token": "0ms"},
        tts={"first_audio": "0ms", "per_piece": "0ms", "piece": "30ms"},
    )
    due = []
    for lateness in ((0 for _ in iter(int, 1)), (i * 1_237 % 5_000 for i, _ in enumerate(iter(int, 1)))):
        evidence = Evidence(plan)
        late_by(evidence, lateness)
        heap_session(plan, evidence)
        due.append([e.item.at_us for _, e in evidence.effects if type(getattr(e, "item", None)).__name__ == "Play"])
    return due[0], due[1]


def test_lateness_never_moves_the_sound() -> None:
    on_time, late = plays_of_a_late_session()
    assert len(on_time) > 300
    assert {b - a for a, b in zip(on_time, late, strict=True)} == {0}


def test_relative_pacing(monkeypatch: Monkey) -> None:
    monkeypatch.setattr(Playback, "_placed", relative)
    on_time, late = plays_of_a_late_session()
    assert late[-1] - on_time[-1] > 100_000
