"""What the user says, as server events: rows of the VAD, the ASR and the gate.

Clients stop their playback at ``speech_started``. So while the agent replies, it is sent when the interruption is confirmed
and not when it is suspected: a reply that was only held can go on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from flowkit.messages import EndOfUtterance, Final, Partial, SpeechStarted
from flowkit.serve.realtime.dialogue import Dialogue
from flowkit.serve.realtime.items import message

_AWAITED = 16
"""How many utterances may wait for their transcript. The oldest is given up."""


@dataclass(slots=True)
class UserSpeech:
    """One utterance, from frame `start` on. `ends`: its last voiced frame, once it has ended. `announced`: the client knows that it
    began; `committed`: it has its item. `sent`: the part of the transcript that was sent."""

    item_id: str
    start: int
    ends: int | None = None
    number: int = 0
    announced: bool = False
    committed: bool = False
    sent: str = ""
    partial: str = ""
    final: str | None = None


class Speech:
    """Follows the user's voice in one session."""

    def __init__(self, talk: Dialogue) -> None:
        self._talk = talk
        self.current: UserSpeech | None = None
        """The utterance under way."""
        self._ended: deque[UserSpeech] = deque()
        """Those that wait for their transcript, or for the interruption to be confirmed."""

    # -- rows at the gate ---------------------------------------------------------------------------------------------

    def started(self, row: SpeechStarted, *, replying: bool) -> None:
        """A voice began. While the agent is `replying` this may be a suspicion only."""
        if self.current is None:
            self.current = UserSpeech(self._talk.new_id("item"), row.frame)
            # What the gate did not take for an interruption is over.
            self._ended = deque(one for one in self._ended if one.committed or one.final is None)
        if not replying or not self._talk.settings.attend.interrupts:
            self._announce(self.current)

    def interrupted(self) -> None:
        """The interruption is confirmed, so the voice was speech."""
        spoken = [*self._ended, *([self.current] if self.current is not None else [])]
        for one in spoken[-1:]:
            self._announce(one)
            if one.ends is not None:
                self._commit(one)
        self._ended = deque(one for one in self._ended if one.committed)

    def answered(self) -> None:
        """An utterance is answered, so it was no suspicion."""
        for one in [one for one in self._ended if not one.committed and one.final][-1:]:
            self._announce(one)
            self._commit(one)

    def ended(self, row: EndOfUtterance, *, replying: bool) -> None:
        """The utterance has ended, or was cleared."""
        spoken, self.current = self.current or UserSpeech(self._talk.new_id("item"), row.last_voiced), None
        if row.dropped:
            return
        spoken.ends, spoken.number = row.last_voiced, row.utterance
        self._ended.append(spoken)
        if len(self._ended) > _AWAITED:
            self._ended.popleft()
        if self._talk.settings.attend.detects and not replying:
            self._announce(spoken)
        if spoken.announced or not self._talk.settings.attend.detects:
            self._commit(spoken)

    def partial(self, row: Partial) -> None:
        """A transcript so far."""
        spoken = self.current or (self._ended[-1] if self._ended else None)
        if spoken is not None:
            spoken.partial = row.text
            if spoken.committed:
                self._delta(spoken, row.text)

    def final(self, row: Final) -> None:
        """The transcript of an utterance."""
        spoken = next((one for one in self._ended if one.number == row.utterance), None)
        # Without a VAD nobody says that an utterance begins or ends.
        if spoken is None and not self._talk.defaults.detects and row.text.strip():
            spoken = UserSpeech(self._talk.new_id("item"), 0, ends=0, number=row.utterance)
            self._ended.append(spoken)
            self._commit(spoken)
        if spoken is not None:
            spoken.final = row.text.strip()
            if spoken.committed:
                self._complete(spoken)

    # -- events -------------------------------------------------------------------------------------------------------

    def _announce(self, spoken: UserSpeech) -> None:
        if not spoken.announced:
            spoken.announced = True
            at_ms = self._talk.mic.ms(spoken.start)
            self._talk.send("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=spoken.item_id)

    def _commit(self, spoken: UserSpeech) -> None:
        talk = self._talk
        if spoken.committed:
            return
        spoken.committed = True
        if spoken.announced:
            at_ms = talk.mic.ms((spoken.ends or 0) + 1)
            talk.send("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=spoken.item_id)
        item = message(spoken.item_id, "user", [{"type": "input_audio", "transcript": None}])
        talk.send("input_audio_buffer.committed", previous_item_id=talk.items.last, item_id=spoken.item_id)
        talk.add_item(item)
        talk.places.user(spoken.item_id)
        if spoken.final is not None:
            self._complete(spoken)
        elif spoken.partial:
            self._delta(spoken, spoken.partial)

    def _delta(self, spoken: UserSpeech, text: str) -> None:
        """What is new of the transcript. One that changed its mind says nothing more until it is final."""
        if self._talk.settings.transcribes and text.startswith(spoken.sent) and len(text) > len(spoken.sent):
            self._talk.send(
                "conversation.item.input_audio_transcription.delta",
                item_id=spoken.item_id,
                content_index=0,
                delta=text[len(spoken.sent) :],
            )
            spoken.sent = text

    def _complete(self, spoken: UserSpeech) -> None:
        talk, text = self._talk, spoken.final or ""
        self._ended.remove(spoken)
        if (item := talk.items.get(spoken.item_id)) is not None:
            item["content"] = [{"type": "input_audio", "transcript": text}]
        if not talk.settings.transcribes:
            return
        self._delta(spoken, text)
        seconds = ((spoken.ends or 0) + 1 - spoken.start) * talk.mic.frame_us / 1_000_000
        talk.send(
            "conversation.item.input_audio_transcription.completed",
            item_id=spoken.item_id,
            content_index=0,
            transcript=text,
            usage={"type": "duration", "seconds": round(max(0.0, seconds), 3)},
        )
