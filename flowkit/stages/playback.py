"""Playback: paces the audio of the reply by absolute deadlines, holds and resumes it at a sample, and reports what was
heard.

The device pops a frame at every tick of a fixed grid (the length of a frame, from the start of the session). Audio is
sent at most `lead` ahead of its time. So the device never runs dry while the loop is busy, and what was sent can be
taken back from the next tick on. Positions follow from times alone. Nothing waits for the device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import ClassVar

from flowkit import options as opt
from flowkit.chunker import Chunk, Reason
from flowkit.messages import (
    Audio,
    ClauseEnded,
    ClauseStarted,
    Done,
    EndOfReply,
    Failed,
    Fault,
    Heard,
    Hold,
    Interrupt,
    Message,
    Play,
    PlaybackStarted,
    Played,
    Render,
    ReplyPlayed,
    Resume,
    Silence,
    Timer,
    WordTimes,
)
from flowkit.stages.base import (
    PROVIDER,
    Action,
    Actions,
    Emit,
    Feed,
    Open,
    SetTimer,
    Stage,
    gone,
)
from flowkit.words import speaking_s, spoken_until

_US = 1_000_000
NEXT = "next"
"""The tag of its only deadline."""
PATIENCE_US = 3_000_000
"""How late a device that reports what it has played may be. Then its sound counts as played, or the reply would never end."""
# The device's own messages still pass, or its failure would not be seen while enough was sent.
_CLOSED = frozenset({PROVIDER})


class Output(Enum):
    """What playback is doing."""

    IDLE = auto()
    PLAYING = auto()
    HELD = auto()


@dataclass(slots=True)
class Piece:
    """Audio that was sent to the device and may still be sounding: due from `at_us` to `ends_us`. Its last sample was
    out by `out_us`. `reported`: how many of its samples the device says it has played, if it does."""

    audio: Audio
    at_us: int = 0
    ends_us: int = 0
    out_us: int = 0
    reported: int = 0

    def sounded(self, now_us: int) -> int:
        """How many of its samples were due before `now_us`. A device has popped exactly these by then."""
        # Rounded up, because a sample that began before `now_us` has been popped.
        due = -(-max(0, now_us - self.at_us) * self.audio.rate_hz // _US)
        return min(due, self.audio.samples)


@dataclass(slots=True)
class PlaybackState:
    """`playing`: pieces sent, and marks between them, oldest first, at most `lead` and one piece. `until_us`: when the
    last piece ends. `carry`: the fraction of a microsecond after that, times the sample rate. `texts`: of the current
    clauses. `full`: enough was sent. `reports`: the device says what it has played."""

    sound: Output = Output.IDLE
    playing: deque[Piece | ClauseEnded | EndOfReply] = field(default_factory=deque)
    until_us: int = 0
    carry: int = 0
    texts: dict[int, ClauseStarted] = field(default_factory=dict)
    words: dict[int, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    position: tuple[int, Audio | None] = (0, None)
    full: bool = False
    reports: bool = False


class Playback(Stage[PlaybackState]):
    """Audio -> device, on time."""

    kind = "speaker"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"audio": ("voice",), "turn": ("turn",), "hold": ("hold",)}
    outputs: ClassVar[dict[str, str]] = {"progress": "progress"}
    replying = True
    call_keys: ClassVar[frozenset[str]] = frozenset()
    """A device answers nothing."""

    class Options(opt.Options):
        lead: opt.Duration = opt.us("100ms")
        """How far ahead of its time audio is sent to the device."""

    options: Options

    def fresh(self) -> PlaybackState:
        return PlaybackState()

    def reset(self, state: PlaybackState) -> PlaybackState:
        return PlaybackState(reports=state.reports)

    def begin(self, state: PlaybackState) -> Actions:
        return (Open(Render()),)

    def accepts(self, state: PlaybackState) -> frozenset[str]:
        return _CLOSED if state.full else self.everything

    def step(self, state: PlaybackState, message: Message, now_us: int) -> Actions:
        # First of all: what has sounded by now was heard, whatever this message stops.
        actions = self._sounded(state, now_us)
        match message:
            # First, because most are.
            case Audio():
                actions += self._play(state, message, now_us)
            case Timer():
                pass
            case ClauseStarted(clause=clause):
                state.texts[clause] = message
            case WordTimes(clause=clause, words=words):
                state.words[clause] = words
            case ClauseEnded() | EndOfReply():
                state.playing.append(message)
                # The audio before it may have sounded already, and then the mark is reached at once.
                actions += self._sounded(state, now_us)
            case Hold():
                actions += self._hold(state, now_us)
            case Resume():
                actions += self._resume(state, now_us)
            case Interrupt():
                return [*actions, *self._interrupt(state, now_us)]
            case Played():
                actions += self._report(state, message, now_us)
            case Failed() | Done():
                return [*actions, Emit("progress", Fault("speaker", gone(message, "speaker")))]
        return [*actions, self._next(state, now_us)]

    # -- sounding ---------------------------------------------------------------------------------------------------

    def _play(self, state: PlaybackState, audio: Audio, now_us: int) -> list[Action]:
        """Send a piece, directly after the last one, or from the next tick if that has ended."""
        tick_us = self._tick(now_us)
        if state.sound is not Output.PLAYING or state.until_us < tick_us:
            state.until_us, state.carry = tick_us, 0
        piece = self._placed(state, audio)
        state.playing.append(piece)
        # It stays in `playing`, and the resume sends it.
        if state.sound is Output.HELD:
            return []
        started = (
            [] if state.sound is Output.PLAYING else [Emit("progress", PlaybackStarted(audio.clause, piece.at_us))]
        )
        state.sound = Output.PLAYING
        return [Feed(_play(piece)), *started]

    def _placed(self, state: PlaybackState, audio: Audio) -> Piece:
        """Directly after the last piece. Fractions of a microsecond are carried over, so that odd rates do not
        drift."""
        at_us = state.until_us
        whole_us, state.carry = divmod(audio.samples * _US + state.carry, audio.rate_hz)
        state.until_us = at_us + whole_us
        return _piece(audio, at_us, state.until_us)

    def _sounded(self, state: PlaybackState, now_us: int) -> list[Action]:
        """Remove from the front what has sounded by now, and report each mark that was reached."""
        actions: list[Action] = []
        # While held nothing sounds, so nothing is over, however much time has passed. But a device may have more to report.
        while state.playing and (state.reports or state.sound is not Output.HELD):
            front = state.playing[0]
            if isinstance(front, Piece):
                if not _is_over(state, front, now_us):
                    break
                state.position = (front.audio.first_sample + front.audio.samples, front.audio)
            elif isinstance(front, ClauseEnded):
                actions.append(Emit("progress", self._heard(state, front)))
                state.texts.pop(front.clause, None)
                # It was reported, and an interrupt must not report it a second time.
                state.position = (0, None)
            else:
                state.sound = Output.IDLE
                state.texts.clear()
                state.words.clear()
                actions.append(Emit("progress", ReplyPlayed()))
            state.playing.popleft()
        return actions

    def _next(self, state: PlaybackState, now_us: int) -> SetTimer:
        """Wake up when there is room again, and when the next mark is reached."""
        # While held nothing leaves, so what comes must wait in the queue before the stage, which is bounded.
        state.full = state.sound is Output.HELD or (bool(state.playing) and state.until_us - now_us > self.options.lead)
        if state.sound is Output.HELD or not state.playing:
            return SetTimer(None, NEXT)
        mark_us = self._next_mark_us(state)
        if not state.full:
            return SetTimer(mark_us, NEXT)
        room_us = state.until_us - self.options.lead
        return SetTimer(room_us if mark_us is None else min(room_us, mark_us), NEXT)

    def _next_mark_us(self, state: PlaybackState) -> int | None:
        """When the first mark in the queue is reached: at the end of the piece before it."""
        ends_us = None
        for item in state.playing:
            if not isinstance(item, Piece):
                return ends_us
            ends_us = item.ends_us + (PATIENCE_US if state.reports else 0)
        return None

    def _report(self, state: PlaybackState, report: Played, now_us: int) -> list[Action]:
        """The device says what it has played. It may play on while the reply is held."""
        state.reports = True
        pieces = [item for item in state.playing if isinstance(item, Piece)]
        begun = [n for n, piece in enumerate(pieces) if _reaches(report, piece.audio)]
        for piece in pieces[: begun[-1]] if begun else ():
            piece.reported = piece.audio.samples
        for piece in (pieces[n] for n in begun):
            piece.reported = max(piece.reported, min(piece.audio.samples, report.sample - piece.audio.first_sample))
        actions = self._sounded(state, now_us)
        front = state.playing[0] if state.playing else None
        if state.sound is Output.HELD and isinstance(front, Piece):
            self._cut(state, front, front.reported)
        return actions

    # -- stopping ---------------------------------------------------------------------------------------------------

    def _tick(self, now_us: int) -> int:
        """The next tick of the device's grid. A tick that falls on now is still to come, because control goes first."""
        return -(-now_us // self.frame_us) * self.frame_us

    def _hold(self, state: PlaybackState, now_us: int) -> list[Action]:
        # Nothing sounds yet, so nothing is cut. What comes during the hold is kept.
        if state.sound is not Output.PLAYING:
            state.sound = Output.HELD
            return []
        return self._silence(state, now_us)

    def _silence(self, state: PlaybackState, now_us: int) -> list[Action]:
        """Silence from the next tick on. The piece that sounds then is cut, and its rest is kept to be resumed."""
        cut_us = self._tick(now_us)
        state.sound = Output.PLAYING
        # Up to the cut and not up to now: what is due before the next tick cannot be taken back from the device.
        actions = self._sounded(state, cut_us)
        # The reply ends before the cut, so the device falls silent by itself.
        if state.sound is Output.IDLE:
            state.sound = Output.HELD
            return actions
        front = state.playing[0] if state.playing else None
        if isinstance(front, Piece) and (state.reports or front.at_us < cut_us):
            self._cut(state, front, front.reported if state.reports else front.sounded(cut_us))
        state.sound = Output.HELD
        return [*actions, Feed(Silence(cut_us))]

    def _cut(self, state: PlaybackState, front: Piece, gone: int) -> None:
        """Of the piece in front `gone` samples have sounded. Only the rest is left."""
        state.position = (front.audio.first_sample + gone, front.audio)
        state.playing[0] = Piece(_rest(front.audio, gone))

    def _resume(self, state: PlaybackState, now_us: int) -> list[Action]:
        if state.sound is not Output.HELD:
            return []
        state.sound, state.until_us, state.carry = Output.IDLE, self._tick(now_us), 0
        joined, state.playing = _joined(state.playing), deque()
        actions: list[Action] = []
        for item in joined:
            if isinstance(item, Piece):
                item = self._placed(state, item.audio)
                if state.sound is Output.IDLE:
                    state.sound = Output.PLAYING
                    actions.append(Emit("progress", PlaybackStarted(item.audio.clause, item.at_us)))
                actions.append(Feed(_play(item)))
            state.playing.append(item)
        if state.playing:
            state.sound = Output.PLAYING
        return [*actions, *self._sounded(state, now_us)]

    def _interrupt(self, state: PlaybackState, now_us: int) -> list[Action]:
        """What was heard goes back to the gate: whole clauses were reported already, the one that was cut by its played
        share."""
        actions = self._silence(state, now_us) if state.sound is Output.PLAYING else []
        # Sent although nothing sounds: with it the device credits all it took, and the next reply finds its bound free.
        if not any(isinstance(action, Feed) for action in actions):
            actions.append(Feed(Silence(self._tick(now_us))))
        played, audio = state.position
        if audio is None or not played:
            return actions
        end = next((m for m in state.playing if isinstance(m, ClauseEnded) and m.clause == audio.clause), None)
        total = end.samples if end is not None and end.whole else audio.total  # a voice that broke off gave fewer
        text = self._heard_text(state, audio, played, total)
        return [*actions, Emit("progress", Heard(audio.clause, text, played, total))]

    def _heard(self, state: PlaybackState, end: ClauseEnded) -> Heard:
        """A clause that has sounded to its end is heard. Of one that the voice broke off, the share that it gave is
        heard. A clause of which nothing is spoken, such as an emoji, is not."""
        if end.whole:
            started = state.texts.get(end.clause)
            text = started.text if started and started.spoken.strip() else ""
            return Heard(end.clause, text, end.samples, end.samples)
        played, audio = state.position
        if audio is None or audio.clause != end.clause:
            return Heard(end.clause, "", 0, 0)
        return Heard(end.clause, self._heard_text(state, audio, played, audio.total), played, audio.total)

    def _heard_text(self, state: PlaybackState, audio: Audio, played: int, total: int) -> str:
        started = state.texts.get(audio.clause)
        if started is None:
            return ""
        return heard_of(started, state.words.get(audio.clause, ()), played, total, audio.rate_hz)


def heard_of(started: ClauseStarted, words: Sequence[tuple[str, int]], played: int, total: int, rate_hz: int) -> str:
    """The part of a clause's text that has sounded when `played` of its `total` samples have (0: unknown). `words`: the word times,
    if the voice gives any."""
    chunk = Chunk(started.text, started.spoken, 1, Reason.END, started.marks)
    # Word times are exact. A share of the samples takes all words as equally long.
    if words:
        return chunk.heard_until(spoken_until(started.spoken, [word for word, end in words if end <= played]))
    # A voice that streams may not know its total (0). Then the usual time for the text stands in.
    whole_s = total / rate_hz or speaking_s(started.spoken)
    return chunk.heard(played / rate_hz / whole_s if whole_s else 1)


def _is_over(state: PlaybackState, piece: Piece, now_us: int) -> bool:
    """Whether a piece has sounded to its end."""
    if not state.reports:
        return now_us >= piece.out_us
    lost = state.sound is not Output.HELD and now_us >= piece.out_us + PATIENCE_US
    return lost or piece.reported >= piece.audio.samples


def _reaches(report: Played, audio: Audio) -> bool:
    return audio.clause == report.clause and audio.first_sample < report.sample


def _joined(playing: Iterable[Piece | ClauseEnded | EndOfReply]) -> deque[Piece | ClauseEnded | EndOfReply]:
    """Neighbouring pieces of a clause as one. So what is sent again at once is a small number, however short the pieces
    were."""
    joined: deque[Piece | ClauseEnded | EndOfReply] = deque()
    for item in playing:
        last = joined[-1] if joined else None
        if isinstance(item, Piece) and isinstance(last, Piece) and _follows(last.audio, item.audio):
            pcm = last.audio.pcm + item.audio.pcm
            last.audio = replace(last.audio, samples=last.audio.samples + item.audio.samples, pcm=pcm)
        else:
            joined.append(item)
    return joined


def _follows(audio: Audio, after: Audio) -> bool:
    return (
        (audio.clause, audio.rate_hz) == (after.clause, after.rate_hz)
        and audio.first_sample + audio.samples == after.first_sample
        # A piece of a replay has no sound. Joined with one that has, it would leave fewer bytes than samples.
        and bool(audio.pcm) == bool(after.pcm)
    )


def _rest(audio: Audio, gone: int) -> Audio:
    return replace(
        audio, first_sample=audio.first_sample + gone, samples=audio.samples - gone, pcm=audio.pcm[2 * gone :]
    )


def _piece(audio: Audio, at_us: int, ends_us: int) -> Piece:
    # One more than the start of the last sample, because `sounded` counts what was due before a time.
    return Piece(audio, at_us, ends_us, at_us + (audio.samples - 1) * _US // audio.rate_hz + 1)


def _play(piece: Piece) -> Play:
    audio = piece.audio
    # The engine knows the epoch, and stamps what it passes to the device.
    return Play(piece.at_us, audio.clause, audio.first_sample, audio.samples, audio.rate_hz, 0, audio.pcm)
