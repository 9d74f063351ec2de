"""End-of-turn predictors in a replay: what they said then, or, of another predictor, what it says now.

A predictor that was recorded gives its recorded probabilities. Another one is computed by the replay: one of words from the
transcripts that come, one of sound from the recorded microphone. That is noted in `assumed`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import trio

from flowkit.clock import US_PER_S
from flowkit.errors import UsageError
from flowkit.messages import Frames, Message, Prediction, SpeechStopped, TurnSoFar
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.base import Surroundings
from flowkit.providers.inline import InlineCall, InlineProvider, Script
from flowkit.providers.turn_sound import SoundPredictor, TurnSound
from flowkit.replay.material import RecordedCall
from flowkit.trace.audio import read_sound
from flowkit.trace.reader import Trace

_Answers = list[tuple[int, Message]]
_LATE = 50
"""How many frames after the last voiced one the sound that was judged may end: a second."""


class RecordedWords(Script):
    """A predictor of words: what it said about the same words, with the recorded delay.

    Words that it never judged get no answer, so that silence alone decides.
    """

    def __init__(self, calls: Iterable[RecordedCall]) -> None:
        self._known: dict[str, tuple[int, Prediction]] = {}
        for call in calls:
            answers = [(at_us, item) for at_us, _, item in call.items if isinstance(item, Prediction)]
            for (fed_us, item), (at_us, answer) in zip(call.judged, answers, strict=False):
                self._known[_words(item)] = (max(0, at_us - fed_us), answer)

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if not isinstance(item, TurnSoFar):
            return []
        known = self._known.get(_words(item))
        # Half: an answer that tells nothing, so that the stage goes on to what comes next.
        delay_us, answer = (0, Prediction(0.5, "")) if known is None else known
        return [(delay_us, Prediction(answer.p, answer.by, item.until))]


def _words(item: TurnSoFar) -> str:
    return f"{item.asked}\n{item.said}"


class _Judgement(NamedTuple):
    """What was said of the sound up to frame `until`, so long after that frame."""

    until: int
    delay_us: int
    p: float
    by: str


class RecordedSound(Script):
    """A predictor of sound: what it said about the same pause, with the recorded delay.

    Args:
        calls: its recorded calls.
        arrivals: when each frame arrived.
        recorded: the recorded frame of a frame of the replay.
    """

    def __init__(self, calls: Iterable[RecordedCall], arrivals: dict[int, int], recorded: Callable[[int], int]) -> None:
        answers = ((at_us, item) for call in calls for at_us, _, item in call.items if isinstance(item, Prediction))
        self._known = [
            _Judgement(item.until, max(0, at_us - arrivals.get(item.until, at_us)), item.p, item.by)
            for at_us, item in answers
        ]
        self._recorded = recorded
        self._newest = 0

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if isinstance(item, Frames):
            self._newest = item.index + item.count - 1
        if not isinstance(item, SpeechStopped):
            return []
        frame = self._recorded(item.last_voiced)
        place = bisect_left(self._known, frame, key=lambda known: known.until)
        if place == len(self._known) or self._known[place].until > frame + _LATE:
            return []
        known = self._known[place]
        return [(known.delay_us, Prediction(known.p, known.by, self._newest))]


def computed(choice: ProviderChoice, plan: Plan, trace: Trace, recorded: Callable[[int], int]) -> Script:
    """A predictor that was not recorded.

    `recorded` gives the recorded frame of a frame of the replay.

    Raises UsageError if it judges sound and the trace has none; ProviderError if it is not installed.
    """
    around = Surroundings(plan.input_rate_hz, plan.frame_us, lambda: 0, lambda line: None)
    if issubclass(choice.cls, InlineProvider):
        return choice.cls(choice.options, around)
    if not issubclass(choice.cls, SoundPredictor):
        raise UsageError(f"cannot replay with the predictor {choice.name}: it can only be asked while a session runs")
    choice.cls.check(choice.options)
    samples = plan.input_rate_hz * plan.frame_us // US_PER_S
    pcm = _input_of(trace)

    def sound_of(frame: int) -> bytes:
        first = recorded(frame)
        return pcm[2 * samples * first : 2 * samples * (first + 1)] if first >= 0 else b""

    predictor = choice.cls(choice.options, around, _loaded(choice))
    return ComputedSound(predictor, TurnSound(samples, plan.frame_us), sound_of)


def _input_of(trace: Trace) -> bytes:
    sounds = [sound for sound in (trace.end.sounds if trace.end else ()) if sound.role == "input"]
    if not sounds:
        raise UsageError(f"{trace.path.name} has no recorded sound, which another predictor would judge")
    return read_sound(trace.path, sounds[0]).astype("<i2").tobytes()


def _loaded(choice: ProviderChoice) -> Any:
    """Its model. In a thread, because this one may have an event loop already."""

    async def load() -> Any:
        async with choice.cls.load(choice.options) as model:
            return model

    with ThreadPoolExecutor(1) as threads:
        return threads.submit(trio.run, load).result()


class ComputedSound(Script):
    """A predictor of sound that was not recorded, over the recorded microphone.

    Args:
        predictor: it, with its model.
        turn: the sound of the turn.
        pcm: the recorded sound of a frame of the replay.
    """

    def __init__(self, predictor: SoundPredictor, turn: TurnSound, pcm: Callable[[int], bytes]) -> None:
        self._predictor, self._turn, self._pcm = predictor, turn, pcm

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> _Answers:
        if isinstance(item, Frames):
            heard = b"".join(map(self._pcm, range(item.index, item.index + item.count)))
            item = Frames(item.index, item.count, heard)
        self._turn.take(item)
        if not isinstance(item, SpeechStopped):
            return []
        p = self._predictor.judge(self._turn.pcm())
        return [(self._predictor.takes_us, Prediction(p, self._predictor.name, self._turn.until))]
