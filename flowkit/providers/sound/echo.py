"""The agent's own voice in the microphone: taking it out (``aec: webrtc``), and noticing it where nothing takes it out.

Cancelling needs what is sounding while it sounds: the speaker's callback leaves every block, silent ones too, in a
``FarEnd``, and the microphone takes as many samples from it as it has heard. Both count samples, so the two stay in
step however the callbacks jitter; the canceller itself finds the delay of the room. It takes 4-8 dB off near speech
as well, so it is an option, and wrong with a headset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from flowkit.clock import US_PER_S
from flowkit.errors import DeviceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

INSTALL = "pip install 'flowkit-voice[aec]'"
_BLOCKS = 50
_MOST_S, _KEPT_S = 0.04, 0.02
"""The far end may wait for the near end by this much; then it is cut to the other. Sound takes longer than that from
callback to callback through any sound card, and a canceller is at a loss where an echo comes before its cause."""


class Aec(StrEnum):
    """What takes the agent's own voice out of the microphone."""

    NONE = "none"
    WEBRTC = "webrtc"
    """The canceller of WebRTC (AEC3), from the package pywebrtc-audio."""


class FarEnd:
    """What the speaker sounds, block by block, waiting for the microphone."""

    def __init__(self) -> None:
        self._blocks: deque[tuple[bytes | None, int, int, int]] = deque(maxlen=_BLOCKS)
        self._resampler: tuple[int, int, Any] | None = None
        self._waiting: Samples | None = None

    def put(self, pcm: bytes | None, rate_hz: int, channels: int, block: int) -> None:
        """From the speaker's callback: one block of `block` samples, None for silence."""
        self._blocks.append((pcm, rate_hz, channels, block))

    def take(self, count: int, rate_hz: int) -> Samples:
        """The next `count` samples at `rate_hz`; silence where the speaker has not got as far."""
        import numpy as np

        parts = [np.zeros(0, np.int16)] if self._waiting is None else [self._waiting]
        while self._blocks:
            parts.append(self._at(rate_hz, *self._blocks.popleft()))
        waiting = np.concatenate(parts)
        if len(waiting) > count + int(_MOST_S * rate_hz):
            waiting = waiting[-count - int(_KEPT_S * rate_hz) :]
        taken, self._waiting = waiting[:count], waiting[count:]
        return np.concatenate((taken, np.zeros(count - len(taken), np.int16)))

    def _at(self, wanted_hz: int, pcm: bytes | None, rate_hz: int, channels: int, block: int) -> Samples:
        import numpy as np

        samples = np.zeros(block, np.int16) if pcm is None else np.frombuffer(pcm, "<i2")[::channels]
        if rate_hz == wanted_hz:
            return samples
        if self._resampler is None or self._resampler[:2] != (rate_hz, wanted_hz):
            import soxr

            self._resampler = (rate_hz, wanted_hz, soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="int16"))
        resampled: Samples = self._resampler[2].resample_chunk(samples)
        return resampled


class Canceller(Protocol):
    """Takes the far end out of the near end."""

    def clean(self, near: bytes) -> bytes:
        """`near` (s16le mono at the session's input rate) without what the speaker adds to it; as long as it was."""
        ...


class WebRtcCanceller:
    """AEC3. Raises DeviceError if the package is not there."""

    def __init__(self, far_end: FarEnd, rate_hz: int) -> None:
        try:
            from pywebrtc_audio import EchoCanceller
        except ImportError as exc:
            raise DeviceError("aec: webrtc needs the package pywebrtc-audio", hint=INSTALL) from exc
        self._canceller = EchoCanceller(sample_rate=rate_hz)
        self._far_end = far_end
        self._rate_hz = rate_hz

    def clean(self, near: bytes) -> bytes:
        import numpy as np

        heard = np.frombuffer(near, "<i2")
        far = self._far_end.take(len(heard), self._rate_hz)
        return bytes(np.asarray(self._canceller.process(heard, far), "<i2").tobytes())


def canceller(aec: Aec, far_end: FarEnd, rate_hz: int) -> Canceller | None:
    """The canceller of that name; None for none."""
    return WebRtcCanceller(far_end, rate_hz) if aec is Aec.WEBRTC else None


# -- noticing ----------------------------------------------------------------------------------------------------------

WINDOW_S = 1.5
"""Sound that is compared at a time."""
REACH_S = 0.5
"""The longest way from speaker to microphone that is looked for, sound card and air together."""
CLEAR = 15.0
"""How far the correlation's peak must stand out of its own mean size. One synthetic voice against itself saying other
things stays below 14.2; a voice that comes back 6 to 30 dB down through a room, with noise, is above 16.8."""
_RATE_HZ = 8_000
_LEAST_S, _LEAST_LEVEL = 0.6, 30.0


class Likeness(NamedTuple):
    """How clearly one sound is found in another: `clarity` of the best match, and how much `later_us` it came."""

    clarity: float
    later_us: int

    @property
    def clear(self) -> bool:
        return self.clarity > CLEAR


def likeness(heard: NDArray[Any], played: NDArray[Any]) -> Likeness:
    """Look for `played` in `heard` at one delay: the peak of their whitened cross-correlation (the phase transform of
    Knapp and Carter, 1976) over its mean size. Both at 8 kHz, ending together; `played` is longer by the reach."""
    import numpy as np

    size = 1 << (len(heard) + len(played) - 1).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    spectrum /= np.abs(spectrum) + 1e-9
    correlation = np.abs(np.fft.irfft(spectrum, size))
    # Their heads are `reach` apart: sound that came straight back has lag -reach, the latest that is looked for lag 0.
    reach = len(played) - len(heard)
    causal = np.concatenate((correlation[-reach:], correlation[:1]))
    best = int(causal.argmax())
    return Likeness(float(causal[best] / (correlation.std() + 1e-12)), best * US_PER_S // _RATE_HZ)


class EchoEar:
    """Keeps the last of what was heard and what was played."""

    def __init__(self, input_rate_hz: int) -> None:
        self._input_rate_hz = input_rate_hz
        self._heard = RecentSamples(WINDOW_S)
        self._played = RecentSamples(WINDOW_S + REACH_S)

    def heard(self, until_us: int, pcm: bytes) -> None:
        """A frame of the microphone, complete at `until_us`."""
        at_us = until_us - len(pcm) // 2 * US_PER_S // self._input_rate_hz
        self._heard.put(at_us, pcm, self._input_rate_hz)

    def played(self, at_us: int, pcm: bytes, rate_hz: int) -> None:
        """Sound that is due at `at_us`."""
        self._played.put(at_us, pcm, rate_hz)

    def silenced(self, at_us: int) -> None:
        """Nothing of it sounds from `at_us` on."""
        self._played.cut(at_us)

    def window(self, now_us: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """What was heard and what was played up to `now_us`, to be compared; None where too little of it sounded."""
        import numpy as np

        heard = self._heard.until(now_us)
        played = self._played.until(now_us)
        sounded_s = (np.abs(played) > _LEAST_LEVEL).mean() * (WINDOW_S + REACH_S)
        if sounded_s < _LEAST_S or np.abs(heard).max(initial=0) < _LEAST_LEVEL:
            return None
        return heard, played


class RecentSamples:
    """The last `length_s` of one side as samples by time, at 8 kHz; gaps are silence."""

    def __init__(self, length_s: float) -> None:
        self._length = int(length_s * _RATE_HZ)
        self._pieces: deque[tuple[int, NDArray[Any]]] = deque()

    def put(self, at_us: int, pcm: bytes, rate_hz: int) -> None:
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        places = np.arange(int(len(samples) * _RATE_HZ / rate_hz)) * (rate_hz / _RATE_HZ)
        # Linear interpolation folds a little of what is above 4 kHz back; a correlation does not mind.
        self._pieces.append((at_us, np.interp(places, np.arange(len(samples)), samples)))
        while len(self._pieces) > 1 and self._pieces[0][0] < at_us - 2 * self._length * US_PER_S // _RATE_HZ:
            self._pieces.popleft()

    def cut(self, at_us: int) -> None:
        self._pieces = deque(self._before(at_us))

    def _before(self, at_us: int) -> Iterable[tuple[int, NDArray[Any]]]:
        for begins_us, samples in self._pieces:
            if (keep := (at_us - begins_us) * _RATE_HZ // US_PER_S) > 0:
                yield begins_us, samples[:keep]

    def until(self, now_us: int) -> NDArray[Any]:
        """The samples up to `now_us`, always as many."""
        import numpy as np

        tape = np.zeros(self._length)
        for begins_us, samples in self._pieces:
            first = self._length - (now_us - begins_us) * _RATE_HZ // US_PER_S
            skip, stop = max(0, -first), min(len(samples), self._length - first)
            if stop > skip:
                tape[first + skip : first + stop] = samples[skip:stop]
        return tape
