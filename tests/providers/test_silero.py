import json

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ProviderError
from flowkit.messages import Detect, Frames, Message, Probability
from flowkit.providers.models import opened
from flowkit.providers.silero import WINDOW, Silero, Windows
from tests.providers.support import AUDIO, FakeSession, answer, frames, installed, recorded

SAMPLES = 320


@given(st.lists(st.integers(1, 6), max_size=40))
def test_windows_are_cut_one_after_the_other_and_name_the_last_frame_that_they_cover(counts: list[int]) -> None:
    windows, index = Windows(SAMPLES), 0
    cut: list[tuple[int, bytes]] = []
    for count in counts:
        pcm = b"".join(i.to_bytes(2, "little") * SAMPLES for i in range(index, index + count))
        cut += windows.add(Frames(index, count, pcm))
        index += count
    assert len(cut) == index * SAMPLES // WINDOW
    assert [frame for frame, _ in cut] == [(n + 1) * WINDOW // SAMPLES - 1 for n in range(len(cut))]
    whole = b"".join(i.to_bytes(2, "little") * SAMPLES for i in range(index))
    assert b"".join(pcm for _, pcm in cut) == whole[: len(cut) * 2 * WINDOW]


def test_lost_frames_begin_a_new_window_and_indexes_stay_true() -> None:
    windows = Windows(SAMPLES)
    pcm = bytes(2 * SAMPLES)
    assert windows.add(Frames(0, 1, pcm)) == []
    assert windows.add(Frames(10, 1, pcm)) == []
    assert [frame for frame, _ in windows.add(Frames(11, 1, pcm))] == [10]


@installed(Silero)
def test_a_question_is_heard_and_the_silence_around_it_is_not() -> None:
    session = FakeSession()

    async def main() -> tuple[list[Probability], list[Probability]]:
        fed = frames(recorded("question.wav"))
        async with opened(Silero, Silero.Options(), session.around()) as vad:
            first = await answer(vad, Detect(), fed)
            again = await answer(vad, Detect(), fed)
        return first.of(Probability), again.of(Probability)

    judged, again = trio.run(main)
    assert judged == again, "a second session starts afresh"
    assert all(round(item.p, 3) == item.p for item in judged)
    said = json.loads((AUDIO / "audio.json").read_text())["files"]["question.wav"][0]
    voiced = [item.frame * 20 for item in judged if item.p > 0.5]
    assert abs(voiced[0] - said["start_ms"]) <= 100
    assert abs(voiced[-1] - said["end_ms"]) <= 150
    assert [notice.startswith(("vad silero: loading", "vad silero: ready after")) for notice in session.notices] == [
        True,
        True,
    ]


def test_another_rate_is_refused() -> None:
    async def main() -> list[Message]:
        async with opened(Silero, Silero.Options(), FakeSession(rate_hz=8_000).around()):
            return []

    with pytest.raises(ProviderError, match="takes 16000 Hz"):
        trio.run(main)
