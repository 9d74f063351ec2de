"""The WAV providers.

What they share with others is tested in test_capture, test_timeline, test_wav_read and test_wav_write.
"""

import os
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import trio
from trio.testing import MockClock

from flowkit.errors import InputError, OutputError
from flowkit.messages import Capture, Frames, InputEnded, Message, Play, Render, Silence
from flowkit.providers.sound.wav import WavSink, WavSource
from tests.providers.support import AUDIO, Answers, FakeSession, answer, recorded

RATE_HZ = 16_000


def test_a_recording_is_heard_from_its_first_sample_to_its_last() -> None:
    session = FakeSession()

    async def main() -> list[Message]:
        source = WavSource(WavSource.Options(path=AUDIO / "question.wav"), session.around())
        async with source.ready():
            return (await answer(source, Capture(), enough=lambda items: isinstance(items[-1], InputEnded))).items

    *heard, end = trio.run(main, clock=MockClock(autojump_threshold=0))
    pcm = b"".join(item.pcm for item in heard if isinstance(item, Frames))
    original = recorded("question.wav")
    assert pcm[: len(original)] == original
    assert end == InputEnded(len(heard))
    assert session.notices == []


def test_what_is_wrong_is_said_before_the_session(tmp_path: Path) -> None:
    async def main() -> None:
        async with WavSource(WavSource.Options(path=tmp_path / "none.wav"), FakeSession().around()).ready():
            raise AssertionError("must not become ready")

    with pytest.raises(InputError, match=r"none\.wav: cannot be read"):
        trio.run(main)


def test_what_is_merely_odd_is_a_notice(tmp_path: Path) -> None:
    session = FakeSession()
    path = tmp_path / "cut.wav"
    path.write_bytes((AUDIO / "question.wav").read_bytes()[:20_000])

    async def main() -> None:
        async with WavSource(WavSource.Options(path=path), session.around()).ready():
            pass

    trio.run(main)
    assert len(session.notices) == 1
    assert "is truncated" in session.notices[0]


def test_an_output_that_cannot_be_written_is_said_before_the_session(tmp_path: Path) -> None:
    async def main(path: Path) -> None:
        async with WavSink(WavSink.Options(path=path), FakeSession().around()).ready():
            assert path.exists()

    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"the folder .*file cannot be made"):
        trio.run(main, tmp_path / "file" / "out.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError, match=r"is a link"):
        trio.run(main, tmp_path / "link.wav")
    trio.run(main, tmp_path / "made" / "here" / "out.wav")


def voice(at_ms: int, ms: int, epoch: int) -> Play:
    samples = ms * 16
    return Play(at_ms * 1_000, 0, 0, samples, RATE_HZ, epoch, np.full(samples, epoch, "<i2").tobytes())


SCRIPT: list[tuple[int, Message]] = [
    (100, voice(120, 400, epoch=1)),
    (290, Silence(300_000)),
    (500, voice(520, 100, epoch=2)),
]


def rendered(path: Path, until_ms: int, killed_at_ms: int | None = None) -> np.ndarray:
    """The contents of the file after a session that was fed SCRIPT, and ended or was cancelled."""

    async def main() -> None:
        sink = WavSink(WavSink.Options(path=path), FakeSession().around())

        async def fed() -> AsyncIterator[Message]:
            for at_ms, message in SCRIPT:
                await trio.sleep_until(at_ms / 1_000 + start)
                yield message
            await trio.sleep_until(until_ms / 1_000 + start)

        start = trio.current_time()
        async with sink.ready():
            with trio.CancelScope() as scope:
                if killed_at_ms is not None:
                    scope.deadline = start + killed_at_ms / 1_000
                await sink.call(Render(), fed(), Answers().emit)

    trio.run(main, clock=MockClock(autojump_threshold=0.01))
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_the_file_holds_what_sounded_when_it_sounded(tmp_path: Path) -> None:
    tape = rendered(tmp_path / "out.wav", until_ms=800)
    expected = np.zeros(800 * 16, np.int16)
    expected[120 * 16 : 300 * 16] = 1
    expected[520 * 16 : 620 * 16] = 2
    assert np.array_equal(tape, expected)


def test_a_cancelled_session_keeps_what_sounded(tmp_path: Path) -> None:
    tape = rendered(tmp_path / "out.wav", until_ms=800, killed_at_ms=250)
    heard = np.flatnonzero(tape)
    assert heard[0] == 120 * 16
    assert 250 * 16 <= heard[-1] + 1 <= 280 * 16, "up to the frame that was sounding"


KILLED = """
import sys, time, trio
from pathlib import Path
from flowkit.messages import Play, Render
from flowkit.providers.base import Surroundings
from flowkit.providers.sound.wav import WavSink

async def fed():
    yield Play(0, 0, 0, 160_000, 16_000, 1, b"\\1\\0" * 160_000)
    await trio.sleep(0.5)
    print("now", flush=True)
    await trio.sleep_forever()

async def main():
    start = trio.current_time()
    around = Surroundings(16_000, 20_000, lambda: round((trio.current_time() - start) * 1e6), print)
    sink = WavSink(WavSink.Options(path=Path(sys.argv[1])), around)
    async with sink.ready():
        await sink.call(Render(), fed(), None)

trio.run(main)
"""


def test_a_killed_process_leaves_a_valid_file_at_most_100_ms_behind(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", KILLED, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"now\n"
        process.send_signal(signal.SIGKILL)
    with wave.open(str(path)) as file:
        assert file.getnframes() >= 16 * 400
        assert set(file.readframes(file.getnframes())[::2]) == {1}
