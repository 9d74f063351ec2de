import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.providers.worker.wire import LARGEST, Frame, FrameKind, Unpacker, audio, read_frame, total_and_pcm

frames = st.lists(
    st.builds(Frame, st.sampled_from(FrameKind), st.integers(0, 2**32 - 1), st.binary(max_size=300)), max_size=8
)


@given(frames, st.lists(st.integers(1, 50)))
def test_frames_come_out_as_they_went_in_however_they_are_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(frame.packed() for frame in sent)
    unpacker, found, position = Unpacker(), [], 0
    for cut in [*cuts, len(stream)]:
        found += unpacker.feed(stream[position : position + cut])
        position += cut
    assert found == sent


@given(frames)
def test_the_child_reads_the_same(sent: list[Frame]) -> None:
    stream = io.BytesIO(b"".join(frame.packed() for frame in sent))
    assert [read_frame(stream) for _ in sent] == sent
    assert read_frame(stream) is None


@given(frames.filter(bool), st.data())
def test_an_end_in_mid_frame_is_an_end(sent: list[Frame], data: st.DataObject) -> None:
    last = sent[-1].packed()
    stream = io.BytesIO(last[: data.draw(st.integers(0, len(last) - 1))])
    assert read_frame(stream) is None


@given(st.integers(0, 2**32 - 1), st.binary(max_size=100))
def test_sound_carries_its_total(total: int, pcm: bytes) -> None:
    assert total_and_pcm(audio(1, total, pcm)) == (total, pcm)


@pytest.mark.parametrize("damage", [(LARGEST + 1).to_bytes(4, "big") + bytes(5), b"\0\0\0\0\x63\0\0\0\0"])
def test_what_cannot_be_a_frame_is_refused(damage: bytes) -> None:
    with pytest.raises(ValueError):
        list(Unpacker().feed(damage))
