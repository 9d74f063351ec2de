"""Listens to a call with the embedded models: who speaks when (silero), and what is said (moonshine).

Both sides are decoded at the same time, on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flowkit.calls.call import FRAME_SAMPLES, FRAME_US, RATE_HZ, CallLine, ImportedCall
from flowkit.calls.doubts import doubts
from flowkit.calls.stereo import Stereo
from flowkit.messages import EndOfUtterance, Message, Probability, SpeechStarted, SpeechStopped
from flowkit.replay.manifest import ANSWERS, AUDIO, LEVELS, PARTIALS, REPLIES, TOOLS, TRANSCRIPTS, VOICE
from flowkit.stages.base import Emit
from flowkit.stages.endpointing import Endpointing

_BEFORE, _AFTER = 10, 5
"""Frames before and after what the VAD takes for speech that an ASR hears too."""
_WITHIN, _AROUND, _JOINED = 25, 20, 5
"""How many frames the sound of a piece may begin or end within what the VAD found, and outside of it; and the longest gap in
it."""
_DIGITAL_DB, _NOISY_DB, _QUIET_DB, _ABOVE_DB = -90.0, -75.0, -56.0, 8.0
"""Levels in dB of full scale: below the first there is no noise either, and above the second there is noise for sure; a sound is
above the third, and so much above the noise."""
_LONGEST = 15 * 50
"""Frames that are decoded at a time. Longer speech is cut where it is quietest."""
_CUT_WITHIN = 5 * 50
INAUDIBLE = "(inaudible)"
"""What the agent says where no word was understood."""
JOIN_US = 400_000
"""A shorter pause does not end what is one entry of a call."""


def levels_db(pcm: bytes) -> NDArray[np.float64]:
    """The level of each whole frame, in dB of full scale."""
    samples = np.frombuffer(pcm, "<i2")
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES).astype(np.float32)
    levels: NDArray[np.float64] = 10 * np.log10(
        np.einsum("ij,ij->i", frames, frames) / FRAME_SAMPLES / 32_768**2 + 1e-12
    )
    return levels


class VoicedPiece(NamedTuple):
    """A piece of speech as endpointing finds it: first and last voiced frame, and where it paused."""

    first: int
    last: int
    pauses: tuple[int, ...] = ()
    """The last voiced frame before each pause."""


def heard_in(
    probabilities: Sequence[tuple[int, float]], options: Endpointing.Options, frame_us: int = FRAME_US
) -> list[VoicedPiece]:
    """The pieces of speech that these settings find. The last one may not have ended."""
    stage = Endpointing(options, frame_us)
    state, found, since, pauses = stage.fresh(), list[VoicedPiece](), -1, list[int]()
    for frame, p in probabilities:
        for message in _sent(stage.step(state, Probability(frame, p), 0)):
            if isinstance(message, SpeechStarted) and since < 0:
                since = message.frame
            elif isinstance(message, SpeechStopped):
                pauses.append(message.last_voiced)
            elif isinstance(message, EndOfUtterance):
                found.append(VoicedPiece(max(since, 0), message.last_voiced, tuple(pauses)))
                since, pauses = -1, []
    return [*found, VoicedPiece(since, state.last_voiced, tuple(pauses))] if since >= 0 else found


def _sent(actions: Sequence[object]) -> Iterator[Message]:
    return (action.message for action in actions if isinstance(action, Emit))


def settings_of(end_us: int) -> Endpointing.Options:
    """Settings that end a piece of speech after so long a silence."""
    return Endpointing.Options.model_validate({"end": f"{end_us // 1000}ms"})


class Side:
    """One side of a call."""

    def __init__(self, pcm: bytes, probabilities: Sequence[tuple[int, float]]) -> None:
        self.pcm = pcm
        self.probabilities = probabilities
        self.levels = levels_db(pcm)
        # Half of the frames of one side of a call are silent, so this is its noise. Digital silence has none.
        noise = self.levels[self.levels > _DIGITAL_DB]
        self.floor_db = float(np.percentile(noise, 20)) if len(noise) > len(self.levels) // 2 else _DIGITAL_DB
        self._loud = self.levels > max(_QUIET_DB, self.floor_db + _ABOVE_DB)

    def sounding(self, piece: VoicedPiece) -> tuple[int, int]:
        """The first and last frame of the piece in which there is sound. A VAD is some frames late at both."""
        first, last = self._reach(piece.first, -1), self._reach(piece.last, 1)
        return min(first, last), max(first, last)

    def _reach(self, frame: int, step: int) -> int:
        """The frame to which the sound at `frame` reaches, or from which it comes."""
        # A VAD may take silence before or after a sound for voice.
        inside = range(frame, frame - step * _WITHIN, -step)
        reached = next((at for at in inside if 0 <= at < len(self._loud) and self._loud[at]), frame)
        for at in range(frame, frame + step * _AROUND, step):
            if 0 <= at < len(self._loud) and self._loud[at] and abs(at - reached) <= _JOINED:
                reached = at
        return reached

    def cuts(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Frames `first` to `last` in pieces that can be decoded, cut at the quietest frames."""
        while last - first >= _LONGEST:
            begin = first + _LONGEST - _CUT_WITHIN
            quiet = begin + int(np.argmin(self.levels[begin : first + _LONGEST]))
            yield first, quiet
            first = quiet + 1
        yield first, last

    def between(self, first: int, last: int) -> bytes:
        """The sound of these frames, with a little around it."""
        begin = max(0, first - _BEFORE) * FRAME_SAMPLES * 2
        return self.pcm[begin : (last + 1 + _AFTER) * FRAME_SAMPLES * 2]


class Transcripts:
    """What one side says between two frames. Decoded once."""

    def __init__(self, side: Side, decode: Callable[[bytes], str]) -> None:
        self._side = side
        self._decode = decode
        self._known: dict[tuple[int, int], str] = {}

    def __call__(self, first: int, last: int) -> str:
        if (first, last) not in self._known:
            pieces = (self._decode(self._side.between(*cut)) for cut in self._side.cuts(first, last))
            self._known[first, last] = " ".join(text for text in pieces if text)
        return self._known[first, last]


def listen(stereo: Stereo, path: Path) -> ImportedCall:
    """The call in a recording. Raises ProviderMissing if a model is not installed."""
    words_of = _Model(), _Model()
    with ThreadPoolExecutor(2) as pool:
        pcms = stereo.user, stereo.agent
        user, agent = (Side(pcm, p) for pcm, p in zip(pcms, pool.map(judged, pcms), strict=True))
        words, said = (Transcripts(side, model) for side, model in zip((user, agent), words_of, strict=True))
        spoken = pool.submit(partial(speech_of, agent, said, settings_of(200_000)))
        asked = speech_of(user, words, settings_of(JOIN_US))
        replies = tuple(speech._replace(text=speech.text or INAUDIBLE) for speech in spoken.result())
    lasts_us = len(stereo.user) // 2 * 1_000_000 // RATE_HZ
    return ImportedCall(
        path.stem,
        int(path.stat().st_mtime * 1_000_000) - lasts_us,
        lasts_us,
        asked,
        replies,
        user.probabilities,
        words,
        stereo.user,
        stereo.agent,
        measured=(AUDIO, LEVELS),
        derived=(ANSWERS, PARTIALS, TRANSCRIPTS, REPLIES, VOICE),
        missing=(TOOLS,),
        notices=(*stereo.notices, *_noise(user, agent), *doubts(asked, replies)),
    )


def _noise(user: Side, agent: Side) -> Iterator[str]:
    """A synthesized voice has no noise, and a microphone has."""
    if user.floor_db <= _DIGITAL_DB < _NOISY_DB <= agent.floor_db:
        yield "only the agent's channel has noise, as of a microphone: the channels look swapped; --swap exchanges them"


def speech_of(side: Side, words: Callable[[int, int], str], options: Endpointing.Options) -> tuple[CallLine, ...]:
    """What a side says, with the times at which there is sound."""
    found = []
    for piece in heard_in(side.probabilities, options):
        first, last = side.sounding(piece)
        found.append(CallLine(first * FRAME_US, (last + 1) * FRAME_US, words(piece.first, piece.last)))
    return tuple(found)


def judged(pcm: bytes) -> list[tuple[int, float]]:
    """What silero says of one side."""
    from flowkit.messages import Frames
    from flowkit.providers.silero import Detector, Windows, loaded

    frames = len(pcm) // (2 * FRAME_SAMPLES)
    detector = Detector(loaded())
    full = Windows(FRAME_SAMPLES).add(Frames(0, frames, pcm[: 2 * FRAME_SAMPLES * frames]))
    return [(frame, detector.judge(window)) for frame, window in full]


class _Model:
    """A copy of moonshine that is loaded when it is first needed. It is never closed: the library computes in a thread."""

    def __init__(self) -> None:
        from flowkit.providers.moonshine.asr import Moonshine

        Moonshine.check(None)

    def __call__(self, pcm: bytes) -> str:
        return _decoded(self._loaded, pcm)

    @cached_property
    def _loaded(self) -> object:
        from flowkit.providers.moonshine.asr import Moonshine
        from flowkit.providers.moonshine.model import Decoder

        return Decoder(Moonshine.Options()).models[0]


def _decoded(model: object, pcm: bytes) -> str:
    from flowkit.providers.moonshine.model import decoded
    from flowkit.providers.segments.asr import NOTHING, SILENT

    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    if not len(frames) or float((frames**2).mean(axis=1).max()) < SILENT:
        return ""
    text = decoded(model, pcm).strip()
    return "" if len(pcm) < 2 * RATE_HZ and text.casefold() in NOTHING else text
