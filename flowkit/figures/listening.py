"""The user's side of a session, read from the gate's rows: speech, its end, its transcript, typed lines, releases."""

from __future__ import annotations

from collections import deque

from flowkit.engine import Row
from flowkit.figures.frames import FrameClock, VoiceBegin, VoiceEnd
from flowkit.figures.records import SpeechRecord, TurnEnding
from flowkit.messages import EndOfUtterance, Final, SpeechStarted, Typed

_MOST = 32
"""How many records of speech may wait for a transcript or a turn. After that the oldest is dropped."""


class Listening:
    """What the user said since the last release."""

    def __init__(self, clock: FrameClock) -> None:
        self._clock = clock
        self._speech: deque[SpeechRecord] = deque(maxlen=_MOST)
        self._current: SpeechRecord | None = None
        self._newest: int | None = None
        self._ended: VoiceEnd | None = None
        self._typed = False
        self._since = 0

    def newest(self) -> VoiceBegin | None:
        """The begin of the newest speech, or None."""
        return None if self._newest is None else VoiceBegin(self._newest, self._clock.frame_us, self._clock.late_us)

    def row(self, row: Row) -> SpeechRecord | None:
        """Handle a row of the gate. Returns speech that turned out to have no words, else None."""
        message, now_us = row.message, row.sent_us
        match message:
            case SpeechStarted(frame=frame):
                self._newest = frame
                speech = self._open()
                # After a pause the voice begins again within the same speech, and only its first begin counts.
                if speech.begin is None:
                    speech.begin, speech.began_us = self.newest(), now_us
            case EndOfUtterance(utterance=utterance, last_voiced=frame, why=why, by=by, p=p):
                self._ended = self._end(0, frame, now_us)
                speech, self._current = self._open(), None
                speech.end, speech.utterance = self._ended, utterance
                speech.ending = TurnEnding(why, by, p) if why else None
            case Final():
                return self._transcribed(message, now_us)
            case Typed():
                self._typed = True
        return None

    def released(self, at_us: int) -> tuple[VoiceEnd, list[SpeechRecord]]:
        """Handle a release at `at_us`. Returns where the user's voice ended, and the speech of the utterance."""
        made = [speech for speech in self._speech if speech.text is not None]
        for speech in made:
            self._speech.remove(speech)
        ended, typed = self._ended, self._typed
        self._newest = self._ended = None
        self._typed = False
        if typed:
            # A typed line counts from its release, because it may wait for the reply before it, which is no delay of the
            # agent. With `until` 0 the reference detector has no frames to look in.
            return self._end(0, None, at_us)._replace(until=0), made
        decided_us, last_voiced = (at_us, None) if ended is None else (ended.decided_us, ended.last_voiced)
        end = self._end(self._since, last_voiced, decided_us)
        self._since = end.until
        return end, made

    def rest(self) -> list[SpeechRecord]:
        """The speech that no turn was released for."""
        return [*self._speech]

    def _end(self, since: int, last_voiced: int | None, decided_us: int) -> VoiceEnd:
        clock = self._clock
        return VoiceEnd(since, clock.ended_by(decided_us), last_voiced, decided_us, clock.frame_us, clock.late_us)

    def _new(self) -> SpeechRecord:
        self._speech.append(speech := SpeechRecord())
        return speech

    def _open(self) -> SpeechRecord:
        """The speech that has not ended yet; a new record if there is none."""
        self._current = self._current or self._new()
        return self._current

    def _transcribed(self, final: Final, now_us: int) -> SpeechRecord | None:
        """Handle a final transcript. Returns the record if the transcript is empty.

        Transcripts come in order. So earlier speech that has no transcript yet will get none.
        """
        transcribed: SpeechRecord | None = None
        for speech in self._speech:
            if speech.text is None and speech.end is not None and speech.utterance <= final.utterance:
                speech.text, transcribed = "", speech
        if transcribed is None:
            transcribed = self._current
        if transcribed is None or transcribed.text:
            transcribed = self._new()
        transcribed.text, transcribed.final_us = final.text, now_us
        if final.text:
            return None
        self._speech.remove(transcribed)
        return transcribed
