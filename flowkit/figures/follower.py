"""The follower: reads turns and speech from a session's rows, one row at a time. No I/O.

It returns each record once it is complete and then forgets it. So the memory that it needs does not depend on the
length of the session.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from flowkit.engine import Fate, Row
from flowkit.figures.cost import Listened
from flowkit.figures.device import DeviceEvents
from flowkit.figures.frames import FrameClock, VoiceEnd
from flowkit.figures.layout import Layout
from flowkit.figures.listening import Listening
from flowkit.figures.records import (
    CallEnd,
    CallRecord,
    ClauseRecord,
    Early,
    Ended,
    InterruptRecord,
    ToolRecord,
    TurnEnd,
    TurnRecord,
)
from flowkit.figures.sound import SpeakerSound
from flowkit.figures.waits import ModelWaits
from flowkit.messages import (
    Ask,
    Audio,
    Cancelled,
    Clause,
    Done,
    Failed,
    Fault,
    Filler,
    Frames,
    Heard,
    Hold,
    Interrupt,
    Message,
    Narrate,
    Play,
    PlaybackStarted,
    Released,
    ReplyPlayed,
    Revoke,
    Shutdown,
    Silence,
    Speak,
    Timer,
    Token,
    ToolCall,
    ToolOutcome,
    Usage,
    Utterance,
)
from flowkit.stages.chunking import FILLER

_SETTLED_US = 1_000_000
"""A turn is returned this long after its end. By then the device's events about it have arrived."""
_NEVER = sys.maxsize
_LOST = frozenset({Fate.DISCARDED, Fate.STALE})
# Looked up once, because rows ask for them: a union would be built again for each.
_HANDLED = Fate.HANDLED
_TO_DEVICE, _STOPS, _REQUESTS = (Play, Silence), (Hold, Interrupt), (Ask, Speak, Narrate)


class Follower:
    """Follows the rows of a session with this layout.

    `clock` says when input frames ended. `turn` is the newest turn as far as it is known, or None before the first.
    `running` are the tools that have no outcome yet, by call.
    """

    def __init__(self, layout: Layout) -> None:
        self.clock = FrameClock(layout.frame_us)
        self.turn: TurnRecord | None = None
        self.running: dict[str, ToolRecord] = {}
        self._now_us = 0
        self._due_us = _NEVER
        """When the next turn is due to be returned."""
        self._ended: list[Ended] = []
        self._turns: dict[int, TurnRecord] = {}
        """The turns that were not returned yet, by number."""
        self._interrupted: TurnRecord | None = None
        """The turn that was interrupted last. It may be answered again until another turn is released."""
        self._early: Early | None = None
        self._draft: TurnRecord | None = None
        """The turn that was begun before it was over and is not released yet, and what such turns cost since the last release."""
        self._listening = Listening(self.clock)
        self._sound = SpeakerSound(layout.frame_us)
        self._device = DeviceEvents()
        self._waits = ModelWaits()
        self._listened = Listened()
        self._frame_us = layout.frame_us
        self._shutdown = ("", 0)
        # Functions and not methods: a follower that refers to itself would stay until the collector finds it.
        by_kind: dict[str, Callable[[Follower, Row], None]] = {
            "mic": Follower._mic,
            "gate": Follower._gate,
            "llm": Follower._llm,
            "tts": Follower._tts,
            "speaker": Follower._speaker,
            "tools": Follower._tools,
        }
        self._handlers: dict[str, Callable[[Follower, Row], None]] = {
            id_: Follower._replying for id_, _ in layout.kinds
        }
        self._handlers |= {layout.only(kind): handler for kind, handler in by_kind.items()}
        # Most rows are theirs, and the follower needs none of them, or next to none.
        for kind in ("vad", "asr"):
            self._handlers.pop(layout.only(kind), None)
        if layout.prices and layout.only("asr"):
            self._handlers[layout.only("asr")] = Follower._asr

    def row(self, row: Row) -> Sequence[Ended]:
        """Handle the next row. Returns the records that are complete by then."""
        now_us = self._now_us = row.handled_us
        if now_us >= self._due_us:
            self._settle(now_us)
        if (handler := self._handlers.get(row.stage)) is not None:
            handler(self, row)
        return self._take_ended() if self._ended else ()

    def event(self, at_us: int, name: str, detail: str) -> None:
        """Handle an event that is not a message. It may come before or after the rows of its time."""
        self._device.event(at_us, name, detail)
        self._waits.event(at_us, name, detail)

    def finish(self) -> Sequence[Ended]:
        """Note that there are no more rows, and return the remaining records."""
        # Nothing can be answered again any more, so the newest turn is returned too.
        self._interrupted = None
        for turn in self._turns.values():
            self._end(turn, self._now_us)
        self._settle(_NEVER)
        self._ended += [*self._listening.rest(), *self.running.values()]
        return self._take_ended()

    @property
    def now_us(self) -> int:
        """The time of the newest row."""
        return self._now_us

    @property
    def open(self) -> tuple[list[TurnRecord], list[CallRecord], list[Usage]]:
        """What will be part of records: the turns that were not returned yet, the calls of answers that were begun early and given
        up since the last release, and what was transcribed since then."""
        calls = [] if self._early is None else list(self._early.calls)
        return list(self._turns.values()), calls, self._listened.unasked(self._heard_us)

    @property
    def _heard_us(self) -> int:
        return self.clock.frames * self._frame_us

    def _take_ended(self) -> list[Ended]:
        ended, self._ended = self._ended, []
        return ended

    def _end(self, turn: TurnRecord, now_us: int) -> None:
        """Note the end of a turn, unless it has one."""
        if turn.ended_us is None:
            turn.ended_us = now_us
            self._due_us = min(self._due_us, now_us + _SETTLED_US)

    def _settle(self, now_us: int) -> None:
        """Collect the turns that ended at least a second before `now_us`.

        The newest turn stays if it was interrupted, because it may be answered again.
        """
        self._due_us = _NEVER
        for turn in [turn for turn in self._turns.values() if turn.ended_us is not None]:
            if turn is self.turn and turn is self._interrupted:
                continue
            ended_us = turn.ended_us or 0
            if ended_us + _SETTLED_US > now_us:
                self._due_us = min(self._due_us, ended_us + _SETTLED_US)
                continue
            for reply in turn.replies():
                self._device.apply(reply)
                self._waits.apply(reply)
            self._ended.append(self._turns.pop(turn.number))

    # -- stages -------------------------------------------------------------------------------------------------------

    def _mic(self, row: Row) -> None:
        if isinstance(row.message, Frames):
            self.clock.came(row.message, row.sent_us)

    def _gate(self, row: Row) -> None:
        if (speech := self._listening.row(row)) is not None:
            self._ended.append(speech)
        # The interrupts that this row causes end the session. They are not the user's.
        if isinstance(row.message, Shutdown):
            self._shutdown = (row.stage, row.n)
        if (turn := self._turns.get(row.turn)) is None:
            return
        match row.message:
            case PlaybackStarted(clause=clause, at_us=at_us):
                # The first one counts, because a reply that is resumed after a hold reports its sound again.
                turn.sound = turn.sound or (clause, at_us)
            case Heard(text=text):
                turn.heard.append(text)
            case ReplyPlayed():
                turn.ends(TurnEnd.COMPLETED)
                self._end(turn, row.handled_us)
            case Fault(what=what):
                # The turn does not end here: what was made before the fault is still played.
                turn.ends(TurnEnd.ERROR)
                turn.fault = what

    def _replying(self, row: Row) -> None:
        """Handle what any replying stage may record: losses and interrupts."""
        if row.fate in _LOST:
            self._lost(row.message, row.turn)
        elif not isinstance(row.message, Interrupt):
            return
        elif row.message.early:
            self._given_up()
        elif row.cause != self._shutdown:
            self._interrupt(row)

    def _asr(self, row: Row) -> None:
        if isinstance(row.message, Usage):
            self._listened.used(row.call, row.message)

    def _llm(self, row: Row) -> None:
        self._replying(row)
        message, turn = row.message, self._turns.get(row.turn)
        if isinstance(message, Utterance) and message.early:
            self._begin_early(row, message)
        elif isinstance(message, Utterance):
            self._release(row, message)
        elif isinstance(message, Released):
            self._release_early(row)
        elif isinstance(message, ToolOutcome):
            self._tool_ended(row, message)
        elif turn is not None and row.fate is _HANDLED:
            _call(turn, row)
            if isinstance(message, Token):
                turn.first_token_us = row.sent_us if turn.first_token_us is None else turn.first_token_us
                turn.last_token_us = row.handled_us

    def _tts(self, row: Row) -> None:
        self._replying(row)
        if (turn := self._turns.get(row.turn)) is None:
            return
        message, taken_us = row.message, row.handled_us if row.fate is _HANDLED else None
        match message:
            # First, because most are.
            case Audio(clause=index):
                if taken_us is not None and (of := turn.clauses.get(index)) is not None:
                    of.first_audio_us = row.sent_us if of.first_audio_us is None else of.first_audio_us
                    of.last_audio_us = taken_us
            case Clause(index=index):
                turn.clauses[index] = ClauseRecord(message, row.sent_us, taken_us)
            case Token(index=index, text=text):
                # Without a chunker, tokens go to TTS, and each counts as a clause.
                turn.clauses[index] = ClauseRecord(Clause(index, text, text, 1, "token"), row.sent_us, taken_us)
            case Filler(index=index, text=text):
                turn.clauses[index] = ClauseRecord(Clause(index, "", text, 1, FILLER), row.sent_us, taken_us)
            case Revoke(clause=index):
                if (revoked := turn.clauses.pop(index, None)) is not None:
                    turn.revoked.append(revoked.clause.spoken)
                    _revoke(turn, row.stage, index)
        if taken_us is not None:
            _call(turn, row)

    def _speaker(self, row: Row) -> None:
        message = row.message
        if isinstance(message, Timer):  # a third of its rows, and they say nothing
            return
        self._replying(row)
        if row.fate is not _HANDLED:
            return
        turn = self._turns.get(row.turn)
        if isinstance(message, _TO_DEVICE):
            if turn is not None:
                _planned(turn, message)
            return
        interrupt = None if self._interrupted is None else self._interrupted.interrupt
        self._sound.row(row)
        # There should be none. It is counted so that a report shows it if the engine ever lets some through.
        if isinstance(message, Audio) and interrupt is not None and row.epoch < interrupt.epoch:
            interrupt.stale_us += message.length_us
        if isinstance(message, _STOPS) and turn is not None and turn.sound is not None:
            # Playback had planned the sound for a later tick, so it never began.
            turn.sound = None if turn.sound[1] >= self._sound.tick(row.handled_us) else turn.sound
        if isinstance(message, Interrupt) and interrupt is not None and interrupt.epoch == row.epoch:
            interrupt.decided_us, interrupt.silent_us = self._sound.silenced
            interrupt.discarded_us += self._sound.lost_us

    def _tools(self, row: Row) -> None:
        message, turn = row.message, self._turns.get(row.turn)
        if isinstance(message, ToolCall):
            tool = ToolRecord(message.id, message.name, message.arguments, row.turn, row.handled_us)
            self.running[message.id] = tool
            if turn is not None:
                turn.tools.append(tool)

    def _tool_ended(self, row: Row, outcome: ToolOutcome) -> None:
        if (tool := self.running.pop(outcome.id, None)) is not None:
            tool.status, tool.content, tool.ended_us = outcome.status, outcome.content, row.handled_us
            self._ended.append(tool)

    # -- turns and interrupts -------------------------------------------------------------------------------------------

    def _release(self, row: Row, message: Utterance) -> None:
        """Begin a turn. If it is answered again, its earlier reply stays part of it."""
        before = self._turns.pop(message.turn, None)
        # A release ends all earlier turns. One that was interrupted cannot be answered again from here on.
        for turn in self._turns.values():
            turn.ended_us = turn.ended_us or row.sent_us
        self._due_us = min(self._due_us, row.sent_us)
        voice, speech = self._listening.released(row.sent_us)
        self.turn = TurnRecord(message.turn, row.epoch, message.text, speech, voice, row.sent_us, before=before)
        self.turn.early, self._early = self._early, None
        listened = self._listened.since(self._heard_us)
        self.turn.listened = [*(before.listened if before else ()), *listened]
        self._turns[message.turn] = self.turn

    def _begin_early(self, row: Row, message: Utterance) -> None:
        """Follow what may become a turn. Where the user's voice ends is not known yet."""
        self._early = self._early or Early()
        self._early.tries, self._early.asked_us = self._early.tries + 1, row.sent_us
        nowhere = VoiceEnd(0, 0, None, row.sent_us, self._frame_us, 0)
        self._draft = TurnRecord(message.turn, row.epoch, message.text, [], nowhere, row.sent_us)
        self._turns[message.turn] = self._draft

    def _release_early(self, row: Row) -> None:
        """What was begun early is the turn. It keeps what was made of it."""
        draft, self._draft = self._draft, None
        if draft is None:
            return
        self._release(row, Utterance(draft.number, draft.user, ""))
        assert self.turn is not None
        draft.speech, draft.voice, draft.released_us = self.turn.speech, self.turn.voice, row.sent_us
        draft.listened, draft.early, draft.ended_us, draft.before = self.turn.listened, self.turn.early, None, None
        if draft.early is not None:
            draft.early.released_us = row.sent_us
        self.turn = self._turns[draft.number] = draft

    def _given_up(self) -> None:
        """Nothing remains of what was begun early but what it cost. Every replying stage has a row for that; the first counts."""
        draft, self._draft = self._draft, None
        if draft is None or self._early is None:
            return
        del self._turns[draft.number]
        self._early.asked_us = None
        for call in draft.calls.values():
            call.revoked = True
            self._early.tokens += len(call.tokens)
            self._early.characters += sum(len(speak.text) for speak in call.fed)
            self._early.calls.append(call)

    def _interrupt(self, row: Row) -> None:
        """Record an interrupt. Every replying stage has a row for it; the first one makes the record."""
        turn = self._turns.get(row.turn)
        if turn is not None and turn.interrupt is None:
            speech = self._listening.newest()
            turn.interrupt = InterruptRecord(row.epoch, row.sent_us, speech, row.sent_us, row.sent_us)
            turn.ends(TurnEnd.INTERRUPTED)
            self._interrupted = turn
            for tool in self.running.values():
                tool.interrupted |= tool.turn == turn.number
            self._end(turn, row.handled_us)

    def _lost(self, message: Message, turn: int) -> None:
        """Count a message that the interrupted reply lost. A message that is stale for another reason is not counted."""
        if self._interrupted is None or self._interrupted.number != turn or self._interrupted.interrupt is None:
            return
        interrupt = self._interrupted.interrupt
        if isinstance(message, Audio):
            interrupt.discarded_us += message.length_us
        interrupt.counts[type(message)] = interrupt.counts.get(type(message), 0) + 1


def _planned(turn: TurnRecord, message: Play | Silence) -> None:
    """Note when the clauses of a turn begin to sound. What is silenced before it is due has not begun."""
    if isinstance(message, Silence):
        for of in turn.clauses.values():
            of.sound_us = None if of.sound_us is None or of.sound_us >= message.at_us else of.sound_us
    elif (known := turn.clauses.get(message.clause)) is not None and known.sound_us is None:
        known.sound_us = message.at_us


def _revoke(turn: TurnRecord, stage: str, clause: int) -> None:
    """Mark the call that spoke a clause that is revoked. If it still waited in the queue, there is none."""
    call = next((call for call in reversed(turn.calls.values()) if call.stage == stage), None)
    if call is not None and call.end is CallEnd.OPEN and [speak.clause for speak in call.fed] == [clause]:
        call.revoked = True


def _call(turn: TurnRecord, row: Row) -> None:
    """Handle a row of a provider call: its request, an item, or its end."""
    message, now_us = row.message, row.handled_us
    call = turn.calls.get(row.call)
    if call is None and isinstance(message, _REQUESTS):
        turn.calls[row.call] = call = CallRecord(row.stage, message, now_us)
        call.fed += [message] if isinstance(message, Speak) else []
        return
    elif isinstance(message, Failed) and not row.call:
        # The engine's own timeout has no call number. It cancelled the stage's newest call.
        call = next((call for call in reversed(turn.calls.values()) if call.stage == row.stage), None)
    if call is None:
        return
    match message:
        # First, because most are items.
        case Audio() | Token():
            call.came(message, row.sent_us)
        case Usage():
            call.used(message)
        case Speak():
            call.fed.append(message)
        case Cancelled():
            call.end, call.ended_us = CallEnd.CANCELLED, now_us
        case Done():
            call.end, call.ended_us = CallEnd.DONE, now_us
        case Failed(what=what):
            call.end, call.ended_us, call.what = CallEnd.FAILED, now_us, what
        case _ if message.lane == "D":
            call.came(message, row.sent_us)
