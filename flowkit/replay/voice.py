"""The recorded voice: what TTS gave for each text, and a model for texts that the recording lacks.

The model is simple: time to first audio and length of audio are linear in the number of characters. Each line is fitted
to the calls of the trace by the Theil-Sen estimator, the median of the slopes between all pairs. A few odd calls do not
move it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from math import log
from statistics import median

from flowkit.messages import Audio, ClauseEnded, Done, Failed, Message, Narrate, Speak, WordTimes
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.chance import LEAST_US, Chance, Delays, spread_of
from flowkit.replay.material import RecordedCall

_US = 1_000_000
_MOST_PAIRS = 20_000
_USUAL_LENGTHS = 0.1
"""How much the length of audio varies for texts of a length, before there are recorded ones."""
_NO_VOICE = "the trace holds no clause that was spoken to its end, so no other can be modelled"


@dataclass(frozen=True, slots=True)
class Spoken:
    """One text as the voice spoke it."""

    text: str
    items: tuple[tuple[int, Message], ...]
    """The voice's items with their delay after the request."""
    whole: bool
    """Whether it was spoken to its end. Else its call was cancelled."""
    cut_us: int = 0
    """When the call ended, counted from the request."""

    @property
    def audio(self) -> list[tuple[int, Audio]]:
        """The audio of the text, with delays."""
        return [(at_us, item) for at_us, item in self.items if isinstance(item, Audio)]

    @property
    def samples(self) -> int:
        """The length of the audio."""
        return sum(audio.samples for _, audio in self.audio)


def spoken_in(calls: Iterable[RecordedCall]) -> Iterator[Spoken]:
    """The texts of recorded calls: one text per call, or several in a call of a continuous voice."""
    for call in calls:
        if isinstance(call.request, Speak):
            items = tuple((max(0, there_us - call.opened_us), item) for there_us, _, item in call.items)
            whole = any(isinstance(item, Done | Failed) for _, item in items)
            yield Spoken(call.request.text, items, whole, (call.ended_us or call.opened_us) - call.opened_us)
        for asked_us, speak in call.fed:
            mine = [(at_us, item) for at_us, _, item in call.items if getattr(item, "clause", -1) == speak.clause]
            parts = tuple((max(0, at_us - asked_us), item) for at_us, item in mine)
            whole = any(isinstance(item, ClauseEnded) for _, item in parts)
            yield Spoken(speak.text, parts, whole, (call.ended_us or asked_us) - asked_us)


@dataclass(frozen=True, slots=True)
class VoiceModel:
    """A linear model of a voice, in the number of characters."""

    first_us: tuple[float, float]
    """Time to first audio: intercept, and slope per character."""
    samples: tuple[float, float]
    """Length of the audio: intercept, and slope per character."""
    piece: int
    """Samples in a piece of audio."""
    gap_us: int
    """Time between two pieces."""
    rate_hz: int
    calls: int
    """How many calls the model was fitted to."""
    spreads: tuple[float, float] = (0.0, 0.0)
    """How far single calls are from these lines: the standard deviation of the logarithm, of the time and of the length."""

    def likely_first_us(self, text: str) -> int:
        """The likely time to first audio of `text`."""
        return max(0, round(self.first_us[0] + self.first_us[1] * len(text)))

    def speak(self, text: str, later: float = 1, longer: float = 1) -> Spoken:
        """What the voice would give for `text`: audio of the modelled length, without samples. Or one that begins so many
        times later, and is so many times longer."""
        at_us = round(self.likely_first_us(text) * later)
        total = max(1, round((self.samples[0] + self.samples[1] * len(text)) * longer))
        items: list[tuple[int, Message]] = []
        for first in range(0, total, self.piece):
            items.append((at_us, Audio(0, first, min(self.piece, total - first), self.rate_hz, total)))
            at_us += self.gap_us
        return Spoken(text, (*items, (at_us - self.gap_us, Done())), True)

    def finish(self, cut: Spoken) -> Spoken:
        """The text of a cancelled call, spoken to its end.

        Its length is the total that the provider announced, or else the modelled one.
        """
        audio = cut.audio
        if not audio:
            # Not before the call was cancelled, because the recording would have audio that came earlier.
            late = self.speak(cut.text)
            return replace(late, items=tuple((max(at_us, cut.cut_us + 1), item) for at_us, item in late.items))
        at_us, last = audio[-1]
        # What had not come when the call was cancelled comes after that time.
        at_us = max(at_us, cut.cut_us + 1 - self.gap_us)
        total = last.total or max(cut.samples, self.speak(cut.text).samples)
        items = list(cut.items)
        for first in range(last.first_sample + last.samples, total, self.piece):
            at_us += self.gap_us
            items.append((at_us, Audio(0, first, min(self.piece, total - first), self.rate_hz, total)))
        # Done had not come by then either, even if the audio was complete.
        return Spoken(cut.text, (*items, (max(at_us, cut.cut_us + 1), Done())), True)


def fit(spoken: Iterable[Spoken]) -> VoiceModel | None:
    """The model of a trace's own calls, or None if no text was spoken to its end."""
    known = [s for s in spoken if s.whole and s.audio]
    if not known:
        return None
    gaps = [b - a for s in known for (a, _), (b, _) in pairwise(s.audio)]
    # Without the last piece of each text, which is shorter. A voice that gives whole texts has no others.
    pieces = [audio.samples for s in known for _, audio in s.audio[:-1]] or [max(s.samples for s in known)]
    model = VoiceModel(
        first_us=theil_sen([(len(s.text), s.audio[0][0]) for s in _made(known)]),
        samples=theil_sen([(len(s.text), s.samples) for s in known]),
        piece=max(1, round(median(pieces))),
        gap_us=round(median(gaps)) if gaps else 0,
        rate_hz=known[0].audio[0][1].rate_hz,
        calls=len(known),
    )
    return replace(model, spreads=_spreads(model, known))


def _spreads(model: VoiceModel, known: list[Spoken]) -> tuple[float, float]:
    firsts = [log(max(LEAST_US, s.audio[0][0]) / max(LEAST_US, model.likely_first_us(s.text))) for s in _made(known)]
    lengths = [log(s.samples / model.speak(s.text).samples) for s in known]
    return spread_of(firsts), spread_of(lengths, _USUAL_LENGTHS)


def _made(known: list[Spoken]) -> list[Spoken]:
    """Those that the voice had to make. What was there at once, such as the greeting of an imported call, says nothing of how long
    another text takes."""
    return [spoken for spoken in known if spoken.audio[0][0] >= LEAST_US] or known


def theil_sen(points: list[tuple[int, int]]) -> tuple[float, float]:
    """Intercept and slope of a line through `points`, by the Theil-Sen estimator.

    If all points have the same x, the slope is 0.
    """
    # Of many points only about 200 are used, because the number of pairs grows with the square.
    pairs = combinations(points if len(points) ** 2 <= 2 * _MOST_PAIRS else points[:: -(-len(points) // 200)], 2)
    slopes = [(y1 - y0) / (x1 - x0) for (x0, y0), (x1, y1) in pairs if x1 != x0]
    slope = median(slopes) if slopes else 0.0
    return median(y - slope * x for x, y in points), slope


class RecordedVoice(Script):
    """Answers each text with its recorded answer, or with the model's if there is none. A `silent` voice, such as one that prints,
    has no sound to model.

    `modelled` lists the texts that the model answered.
    """

    def __init__(self, calls: Iterable[RecordedCall], chance: Chance | None = None, *, silent: bool = False) -> None:
        self._silent = silent
        self._spoken = spoken = list(spoken_in(calls))
        self._chance = chance or Chance()
        self.modelled: list[str] = []
        failures = (s for s in spoken if s.whole)
        nothing = Done() if silent else Failed("error", _NO_VOICE)
        self._voiceless = next(failures, Spoken("", ((0, nothing),), True))
        """The answer if no call gave audio: that of the first call that ended, which is its failure if it had a sound to make."""
        self._by_text: dict[str, list[Spoken]] = {}
        for known in spoken:
            self._by_text.setdefault(known.text, []).append(known)

    @cached_property
    def model(self) -> VoiceModel | None:
        """The model. Most replays say only what was said then, and need none."""
        return fit(self._spoken)

    def open(self, request: Message) -> InlineCall:
        if isinstance(request, Narrate):
            return InlineCall(fed=self._narrated, ended=lambda: [(0, Done())])
        answers = list(self._answer(request)) if isinstance(request, Speak) else []
        return InlineCall(opened=lambda: answers)

    def said(self, text: str) -> Spoken:
        """The recorded answer to a text, the next one if there are several; else the modelled answer."""
        known = self._by_text.get(text, [])
        if known:
            # The last one stays, for a replay in which the text is said more often.
            spoken = known.pop(0) if len(known) > 1 else known[0]
            # A cancelled call gives what it gave then. If the replay does not cancel it, the model gives the rest.
            whole = spoken if spoken.whole or self.model is None else self.model.finish(spoken)
            return self._another_time(whole) if self._chance.fresh else whole
        if self._silent:
            return self._voiceless
        self.modelled.append(text)
        if self.model is None:
            return self._voiceless
        return self.model.speak(
            text, self._factor(0, "when audio comes", text), self._factor(1, "how long audio is", text)
        )

    def _factor(self, which: int, what: str, text: str) -> float:
        assert self.model is not None
        return Delays(0, self.model.spreads[which], self.model.calls).factor(self._chance, what, text)

    def _another_time(self, spoken: Spoken) -> Spoken:
        """The same audio, when it would come on another day."""
        if self.model is None or not spoken.audio:
            return spoken
        first_us = spoken.audio[0][0]
        later_us = (
            round(self.model.likely_first_us(spoken.text) * self._factor(0, "when audio comes", spoken.text)) - first_us
        )
        return replace(spoken, items=tuple((max(0, at_us + later_us), item) for at_us, item in spoken.items))

    def _answer(self, speak: Speak) -> Iterator[tuple[int, Message]]:
        latest_us = 0
        for at_us, item in self.said(speak.text).items:
            latest_us = max(latest_us, at_us)
            yield latest_us, _of_clause(item, speak.clause)

    def _narrated(self, item: Message) -> list[tuple[int, Message]]:
        if not isinstance(item, Speak):
            return []
        answers = list(self._answer(item))
        at_us = answers[-1][0] if answers else 0
        samples = sum(a.samples for _, a in answers if isinstance(a, Audio))
        kept = [(there_us, a) for there_us, a in answers if not isinstance(a, Done | ClauseEnded)]
        return [*kept, (at_us, ClauseEnded(item.clause, samples))]


def _of_clause(item: Message, clause: int) -> Message:
    """A copy of the item that belongs to clause `clause`."""
    if isinstance(item, Audio):
        return Audio(clause, item.first_sample, item.samples, item.rate_hz, item.total)
    return replace(item, clause=clause) if isinstance(item, WordTimes | ClauseEnded) else item
