"""When an ASR decodes which segment. Frames are 20 ms of 320 samples, and only their loudness matters."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.messages import EndOfUtterance, Frames
from flowkit.providers.segments.utterances import PRE_ROLL_US, Purpose, RecentFrames, Segment, Utterances

SAMPLES, FRAME_US = 320, 20_000
PRE_ROLL = PRE_ROLL_US // FRAME_US
TAIL, SETTLED = 10, 5
LOUD, QUIET_LEVEL = 8_000, 5


def utterances(every_ms: int = 600, longest_ms: int = 15_000, ahead_ms: int = 0, *, eager: bool = True) -> Utterances:
    return Utterances(SAMPLES, FRAME_US, every_ms * 1_000, longest_ms * 1_000, eager=eager, ahead_us=ahead_ms * 1_000)


def frame(index: int, level: int) -> Frames:
    return Frames(index, 1, np.full(SAMPLES, level, "<i2").tobytes())


def hear(ears: Utterances, first: int, until: int, level: int = LOUD) -> list[Segment]:
    """Feed frames with a model that is always free. Returns the segments to decode."""
    asked = []
    for index in range(first, until):
        segment = ears.hear(frame(index, level)) or ears.partial()
        if segment:
            asked.append(segment)
    return asked


def spoken(ears: Utterances, quiet: int, voiced: int) -> list[Segment]:
    """`quiet` quiet frames, then `voiced` voiced ones. The VAD notices speech at the third."""
    hear(ears, 0, quiet, QUIET_LEVEL)
    asked = hear(ears, quiet, quiet + 3)
    ears.speech_started(quiet)
    return asked + hear(ears, quiet + 3, quiet + voiced)


def test_while_nobody_speaks_nothing_is_decoded() -> None:
    assert hear(utterances(), 0, 500, QUIET_LEVEL) == []


def test_partials_come_every_so_often_and_begin_before_the_voice_was_noticed() -> None:
    asked = spoken(utterances(), quiet=100, voiced=100)
    assert {segment.purpose for segment in asked} == {Purpose.PARTIAL}
    assert {segment.first for segment in asked} == {100 - PRE_ROLL}
    ends = [segment.until for segment in asked]
    assert [b - a for a, b in itertools.pairwise(ends)] == [30] * (len(ends) - 1)
    assert all(len(segment.pcm) == (segment.until - segment.first) * 2 * SAMPLES for segment in asked)


def test_when_it_falls_quiet_it_is_decoded_once_without_waiting() -> None:
    ears = utterances(every_ms=10_000)
    assert spoken(ears, quiet=100, voiced=50) == []
    asked = hear(ears, 150, 250, QUIET_LEVEL)
    assert [(segment.purpose, segment.until) for segment in asked] == [(Purpose.PARTIAL, 150 + SETTLED)]
    final = ears.ended(EndOfUtterance(0, 149))
    assert asked[0].first == final.first
    assert asked[0].until >= final.settled, "so the final transcript is there already"


def test_ahead_of_that_it_is_decoded_once_but_what_counts_has_the_soft_end() -> None:
    ears = utterances(every_ms=10_000, ahead_ms=40)
    spoken(ears, quiet=100, voiced=50)
    asked = hear(ears, 150, 250, QUIET_LEVEL)
    assert [segment.until for segment in asked] == [150 + 2, 150 + SETTLED]
    assert asked[0].until < ears.ended(EndOfUtterance(0, 149)).settled <= asked[1].until
    assert spoken(utterances(every_ms=10_000, ahead_ms=40, eager=False), quiet=100, voiced=50) == []


def test_a_model_that_is_busy_at_40_ms_is_asked_when_it_is_free() -> None:
    ears = utterances(every_ms=10_000, ahead_ms=40)
    spoken(ears, quiet=100, voiced=50)
    for index in range(150, 153):
        ears.hear(frame(index, QUIET_LEVEL))
    assert [segment.until for segment in hear(ears, 153, 170, QUIET_LEVEL)] == [154, 150 + SETTLED]


def test_a_partial_that_is_due_waits_while_the_voice_may_have_ended() -> None:
    ears = utterances(every_ms=200)
    spoken(ears, quiet=100, voiced=50)
    ends = [segment.until for segment in hear(ears, 150, 170, QUIET_LEVEL)]
    assert not [end for end in ends if 150 < end < 150 + SETTLED]


def test_a_pause_that_the_vad_notices_late_is_known_already() -> None:
    ears = utterances(every_ms=10_000)
    spoken(ears, quiet=100, voiced=50)
    [early] = hear(ears, 150, 158, QUIET_LEVEL)
    paused = ears.paused()
    assert paused is not None
    assert (paused.first, paused.until) == (early.first, 158)
    assert early.until >= paused.settled, "so nothing is decoded again"
    assert early.until >= ears.ended(EndOfUtterance(0, 153)).settled, "nor for an end that the VAD saw later"


def test_in_a_noise_it_is_decoded_when_the_vad_notices_the_pause() -> None:
    ears = utterances(every_ms=10_000)
    spoken(ears, quiet=0, voiced=50)
    assert hear(ears, 50, 58, LOUD // 2) == []
    paused = ears.paused()
    assert paused is not None
    assert paused.until == paused.settled == 58


def test_the_last_segment_ends_a_little_behind_the_voice() -> None:
    ears = utterances()
    spoken(ears, quiet=100, voiced=50)
    hear(ears, 150, 170, QUIET_LEVEL)
    final = ears.ended(EndOfUtterance(7, 149))
    assert (final.purpose, final.utterance) == (Purpose.FINAL, 7)
    assert (final.first, final.until, final.settled) == (100 - PRE_ROLL, 150 + TAIL, 150 + SETTLED)
    assert hear(ears, 170, 400, QUIET_LEVEL) == [], "and nothing more is decoded"


def test_an_end_without_a_beginning_is_empty() -> None:
    ears = utterances()
    hear(ears, 0, 50, QUIET_LEVEL)
    final = ears.ended(EndOfUtterance(0, 30))
    assert (final.pcm, final.loudest) == (b"", 0.0)


def test_a_pause_within_an_utterance_does_not_cut_it() -> None:
    ears = utterances()
    spoken(ears, quiet=100, voiced=50)
    hear(ears, 150, 165, QUIET_LEVEL)
    hear(ears, 165, 200)
    ears.speech_started(165)
    assert ears.ended(EndOfUtterance(0, 199)).first == 100 - PRE_ROLL
    assert hear(ears, 200, 240, QUIET_LEVEL) == [], "the second start was of the same utterance"


def test_speech_that_is_announced_before_the_end_of_the_last_is_the_next() -> None:
    """SpeechStarted is control and EndOfUtterance is data, so the order of the two may change."""
    ears = utterances()
    spoken(ears, quiet=100, voiced=50)
    hear(ears, 150, 180, QUIET_LEVEL)
    hear(ears, 180, 190)
    ears.speech_started(180)
    ears.ended(EndOfUtterance(0, 149))
    hear(ears, 190, 230)
    following = ears.ended(EndOfUtterance(1, 229))
    assert following.first == 180 - PRE_ROLL


def test_speech_that_is_too_long_is_committed_at_its_quietest_place() -> None:
    ears = utterances(longest_ms=2_000)
    spoken(ears, quiet=100, voiced=70)
    ears.hear(frame(170, 50))
    asked = hear(ears, 171, 260)
    commits = [segment for segment in asked if segment.purpose is Purpose.COMMIT]
    assert (commits[0].first, commits[0].until) == (100 - PRE_ROLL, 171)
    final = ears.ended(EndOfUtterance(0, 259))
    ends = [*(segment.until for segment in commits), final.until]
    firsts = [*(segment.first for segment in commits), final.first]
    assert firsts[1:] == ends[:-1], "no frame is decoded twice for good, and none is lost"


levels = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 5, 300, 8_000])), min_size=1, max_size=20)


@settings(max_examples=40)
@given(levels, st.integers(500, 3_000), st.data())
def test_every_frame_of_an_utterance_is_in_exactly_one_lasting_segment(
    drawn: list[tuple[int, int]], longest_ms: int, data: st.DataObject
) -> None:
    ears = utterances(longest_ms=longest_ms)
    loudness = [level for count, level in drawn for _ in range(count)]
    hear(ears, 0, 60, QUIET_LEVEL)
    ears.speech_started(60)
    lasting = []
    for index, level in enumerate(loudness, 60):
        segment = ears.hear(frame(index, level))
        lasting += [segment] if segment else []
        if data.draw(st.booleans()):
            partial = ears.partial()
            assert partial is None or partial.until == index + 1
    last = 59 + len(loudness)
    lasting.append(ears.ended(EndOfUtterance(0, last)))
    assert lasting[0].first == 60 - PRE_ROLL
    assert lasting[-1].until == last + 1
    for before, after in itertools.pairwise(lasting):
        assert before.until == after.first
    for segment in lasting:
        assert len(segment.pcm) == (segment.until - segment.first) * 2 * SAMPLES
        assert segment.until - segment.first <= longest_ms // 20 + 1


def test_lost_frames_are_silence() -> None:
    recording = RecentFrames(SAMPLES)
    recording.add(frame(0, 100))
    recording.add(frame(3, 100))
    assert (recording.until, recording.loudness(0, 4)) == (4, [10_000.0, 0.0, 0.0, 10_000.0])


def test_memory_stays_small_while_nobody_speaks() -> None:
    recording = RecentFrames(SAMPLES)
    for index in range(1_000):
        recording.add(frame(index, 1))
        recording.forget_before(index - 99)
    assert (recording.first, recording.until, len(recording.pcm(0, 1_000))) == (900, 1_000, 100 * 640)


def test_an_utterance_does_not_begin_with_the_end_of_the_one_before() -> None:
    """If an utterance ended because it was too long, its last words are close to the first words of the next one."""
    ears = utterances()
    spoken(ears, quiet=100, voiced=50)
    ears.ended(EndOfUtterance(1, 149))
    hear(ears, 150, 153)
    ears.speech_started(150)
    hear(ears, 153, 200)
    assert ears.ended(EndOfUtterance(2, 199)).first == 150
