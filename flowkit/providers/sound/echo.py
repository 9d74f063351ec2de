"""The agent's own voice in the microphone: removing it (``aec: webrtc``) and detecting it.

An echo canceller needs the audio that the speaker plays. The speaker's callback puts each block, also a silent one,
into a ``FarEnd``. For each microphone frame, the same number of samples is taken from it. Both sides count samples, so
they stay aligned although the callbacks jitter. The canceller itself finds the delay of the room. It also attenuates
the user's speech by 4-8 dB, so it is an option, and should not be used with a headset.
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
"""If more than ``_MOST_S`` of the far end waits for the microphone, it is cut to ``_KEPT_S``. The canceller needs the
far end before its echo, and the path through any sound card takes longer than this."""


class Aec(StrEnum):
    """The echo canceller of a microphone."""

    NONE = "none"
    WEBRTC = "webrtc"
    """WebRTC's AEC3, from the package pywebrtc-audio."""


class FarEnd:
    """The audio that the speaker plays, kept until the microphone's canceller takes it."""

    def __init__(self) -> None:
        # Bounded, because without a canceller nothing takes them.
        self._blocks: deque[tuple[bytes | None, int, int, int]] = deque(maxlen=_BLOCKS)
        self._resampler: tuple[int, int, Any] | None = None
        self._waiting: Samples | None = None

    def put(self, pcm: bytes | None, rate_hz: int, channels: int, block: int) -> None:
        """Add one block of `block` samples per channel; `pcm` is s16le, or None for silence. The speaker's callback
        calls it."""
        self._blocks.append((pcm, rate_hz, channels, block))

    def take(self, count: int, rate_hz: int) -> Samples:
        """Take the next `count` samples, mono at `rate_hz`. Samples that the speaker has not played yet are silence."""
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

        # All channels play the same, so one is enough.
        samples = np.zeros(block, np.int16) if pcm is None else np.frombuffer(pcm, "<i2")[::channels]
        if rate_hz == wanted_hz:
            return samples
        if self._resampler is None or self._resampler[:2] != (rate_hz, wanted_hz):
            import soxr

            self._resampler = (rate_hz, wanted_hz, soxr.ResampleStream(rate_hz, wanted_hz, 1, dtype="int16"))
        resampled: Samples = self._resampler[2].resample_chunk(samples)
        return resampled


class Canceller(Protocol):
    """Removes the speaker's audio from the microphone's."""

    def clean(self, near: bytes) -> bytes:
        """Remove the echo from `near` (s16le mono at the session's input rate). Returns as many bytes."""
        ...


class WebRtcCanceller:
    """WebRTC's AEC3. Raises DeviceError if the package is not installed."""

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
    """Make the canceller that the option `aec` names; None for ``Aec.NONE``. Raises DeviceError if its package is
    missing."""
    return WebRtcCanceller(far_end, rate_hz) if aec is Aec.WEBRTC else None


# -- detecting ---------------------------------------------------------------------------------------------------------

WINDOW_S = 1.5
"""Length of the microphone audio that is compared, in seconds."""
REACH_S = 0.5
"""The longest delay from speaker to microphone that is searched, in seconds: sound card and air together."""
CLEAR = 15.0
"""The least ratio of the correlation's peak to its standard deviation for an echo. One synthetic voice compared with
the same voice saying something else stays below 14.2. An echo 6 to 30 dB down, through a room and with noise, is above
16.8."""
_RATE_HZ = 8_000
_LEAST_S, _LEAST_LEVEL = 0.6, 30.0


class Likeness(NamedTuple):
    """The best match of one signal in another: its `clarity` (peak over standard deviation) and its delay
    `later_us`."""

    clarity: float
    later_us: int

    @property
    def clear(self) -> bool:
        return self.clarity > CLEAR


def likeness(heard: NDArray[Any], played: NDArray[Any]) -> Likeness:
    """Search for `played` in `heard` by the peak of their whitened cross-correlation (GCC-PHAT, Knapp and Carter 1976).

    Both are samples at 8 kHz that end at the same time. `played` is longer by ``REACH_S``.
    """
    import numpy as np

    size = 1 << (len(heard) + len(played) - 1).bit_length()
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    spectrum /= np.abs(spectrum) + 1e-9
    correlation = np.abs(np.fft.irfft(spectrum, size))
    # `played` starts `reach` samples earlier, so an echo without delay has lag -reach, and the longest delay has lag 0.
    reach = len(played) - len(heard)
    causal = np.concatenate((correlation[-reach:], correlation[:1]))
    best = int(causal.argmax())
    return Likeness(float(causal[best] / (correlation.std() + 1e-12)), best * US_PER_S // _RATE_HZ)


class EchoEar:
    """Keeps the newest audio of the microphone and of the speaker, to compare them."""

    def __init__(self, input_rate_hz: int) -> None:
        self._input_rate_hz = input_rate_hz
        self._heard = RecentSamples(WINDOW_S)
        self._played = RecentSamples(WINDOW_S + REACH_S)

    def heard(self, until_us: int, pcm: bytes) -> None:
        """Add a microphone frame (s16le mono) that was complete at session time `until_us`."""
        at_us = until_us - len(pcm) // 2 * US_PER_S // self._input_rate_hz
        self._heard.put(at_us, pcm, self._input_rate_hz)

    def played(self, at_us: int, pcm: bytes, rate_hz: int) -> None:
        """Add audio of the speaker (s16le mono) that is due at session time `at_us`."""
        self._played.put(at_us, pcm, rate_hz)

    def silenced(self, at_us: int) -> None:
        """Drop the speaker's audio from `at_us` on."""
        self._played.cut(at_us)

    def window(self, now_us: int) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """The audio of microphone and speaker up to `now_us`, for ``likeness``; None if there is too little sound in
        it."""
        import numpy as np

        heard = self._heard.until(now_us)
        played = self._played.until(now_us)
        sounded_s = (np.abs(played) > _LEAST_LEVEL).mean() * (WINDOW_S + REACH_S)
        if sounded_s < _LEAST_S or np.abs(heard).max(initial=0) < _LEAST_LEVEL:
            return None
        return heard, played


class RecentSamples:
    """The last `length_s` seconds of one side, resampled to 8 kHz. Gaps are silence."""

    def __init__(self, length_s: float) -> None:
        self._length = int(length_s * _RATE_HZ)
        self._pieces: deque[tuple[int, NDArray[Any]]] = deque()

    def put(self, at_us: int, pcm: bytes, rate_hz: int) -> None:
        import numpy as np

        samples = np.frombuffer(pcm, "<i2").astype(np.float32)
        places = np.arange(int(len(samples) * _RATE_HZ / rate_hz)) * (rate_hz / _RATE_HZ)
        # Linear interpolation causes a little aliasing above 4 kHz, which does not matter for a correlation.
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
        """The samples up to `now_us`, always `length_s` of them."""
        import numpy as np

        tape = np.zeros(self._length)
        for begins_us, samples in self._pieces:
            first = self._length - (now_us - begins_us) * _RATE_HZ // US_PER_S
            skip, stop = max(0, -first), min(len(samples), self._length - first)
            if stop > skip:
                tape[first + skip : first + stop] = samples[skip:stop]
        return tape
