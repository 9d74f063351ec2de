"""Endpointing with single messages: probabilities in, speech events out, at the right frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import (
    Detect,
    EndOfUtterance,
    Frames,
    InputEnded,
    Message,
    Prediction,
    Probability,
    SpeechLasted,
    SpeechStarted,
    SpeechStopped,
)
from flowkit.stages.base import Emit, Feed, Open
from flowkit.stages.endpointing import Endpointing


def marks(
    probabilities: list[float], ends_at: int | None = None, step: int = 1, **options: object
) -> list[tuple[int, Message]]:
    """Which mark of an utterance came at which frame; `step`: frames between two answers of the VAD."""
    found = events(probabilities, ends_at, step, **options)
    return [(frame, mark) for frame, mark in found if not isinstance(mark, SpeechLasted)]


def events(
    probabilities: list[float], ends_at: int | None = None, step: int = 1, **options: object
) -> list[tuple[int, Message]]:
    """The same, with those of a voice that has lasted."""
    stage = Endpointing(Endpointing.Options.model_validate(options))
    state, found = stage.fresh(), []
    if ends_at is not None:
        assert not stage.step(state, InputEnded(ends_at), 0)
    for i, p in enumerate(probabilities):
        frame = (i + 1) * step - 1
        found += [(frame, a.message) for a in stage.step(state, Probability(frame, p), 0) if isinstance(a, Emit)]
    return found


def test_a_plain_utterance() -> None:
    found = marks([0.0] * 5 + [0.9] * 20 + [0.0] * 30, start="60ms", pause="100ms", end="400ms")
    assert found == [(7, SpeechStarted(5)), (29, SpeechStopped(24)), (44, EndOfUtterance(1, 24))]


def test_a_click_shorter_than_start_is_nothing() -> None:
    assert marks([0.0, 0.9, 0.9, 0.0] * 10, start="60ms") == []


def test_hysteresis_keeps_quiet_voice_and_starts_with_none() -> None:
    quiet = [0.4] * 40
    assert marks(quiet, threshold=0.5, release=0.35) == []
    found = marks([0.9] * 5 + quiet, threshold=0.5, release=0.35)
    assert [type(message) for _, message in found] == [SpeechStarted]


def test_a_voice_that_comes_back_in_its_pause_is_the_same_utterance() -> None:
    found = marks([0.9] * 10 + [0.0] * 10 + [0.9] * 10 + [0.0] * 25, end="400ms")
    kinds = [type(message).__name__ for _, message in found]
    assert kinds == ["SpeechStarted", "SpeechStopped", "SpeechStarted", "SpeechStopped", "EndOfUtterance"]
    assert found[-1] == (49, EndOfUtterance(1, 29))


def test_utterances_are_numbered() -> None:
    found = marks(([0.9] * 10 + [0.0] * 25) * 3)
    assert [m.utterance for _, m in found if isinstance(m, EndOfUtterance)] == [1, 2, 3]


def test_a_vad_of_32_ms_windows_answers_for_frames_it_skips() -> None:
    """Every second or so frame has no answer of its own; silence is still counted in frames."""
    found = marks([0.9] * 10 + [0.0] * 20, step=2, end="400ms")
    assert found[0][1] == SpeechStarted(1)
    frame, mark = found[-1]
    assert mark == EndOfUtterance(1, 19)
    assert frame - 19 == 20


def test_the_input_ends_once_its_last_utterance_has() -> None:
    voiced = [0.9] * 10
    assert marks([*voiced, *[0.0] * 30], ends_at=10)[-2:] == [(29, EndOfUtterance(1, 9)), (29, InputEnded(10))]
    assert marks([0.0] * 12, ends_at=10) == [(9, InputEnded(10))]


def test_frames_are_fed_and_the_detector_is_opened() -> None:
    stage = Endpointing(Endpointing.Options())
    assert list(stage.begin(stage.fresh())) == [Open(Detect())]
    assert list(stage.step(stage.fresh(), Frames(3, 1), 0)) == [Feed(Frames(3, 1))]


@pytest.mark.parametrize("end", ["20ms", "100ms", "1s"])
@given(voiced=st.lists(st.booleans(), max_size=150))
def test_marks_come_in_order_and_silence_lasts_what_it_says(end: str, voiced: list[bool]) -> None:
    found = marks([0.95 if v else 0.02 for v in voiced], end=end, pause="100ms", start="40ms")
    speaking = False
    for frame, mark in found:
        if isinstance(mark, SpeechStarted):
            speaking = True
            assert all(voiced[mark.frame : frame + 1])
        elif isinstance(mark, SpeechStopped):
            assert speaking
        elif isinstance(mark, EndOfUtterance):
            assert speaking
            assert voiced[mark.last_voiced]
            assert not any(voiced[mark.last_voiced + 1 : frame + 1])
            assert (frame - mark.last_voiced) * 20 >= {"20ms": 20, "100ms": 100, "1s": 1000}[end]
            speaking = False


def lasted(probabilities: list[float], step: int = 1, **options: object) -> list[int]:
    """The frames at which a voice had lasted."""
    return [frame for frame, mark in events(probabilities, step=step, **options) if isinstance(mark, SpeechLasted)]


def test_a_voice_has_lasted_once_it_was_voiced_for_so_long_after_its_detection() -> None:
    found = events([0.0] * 5 + [0.9] * 20 + [0.0] * 30, start="60ms", speech_for="120ms")
    assert found[:2] == [(7, SpeechStarted(5)), (13, SpeechLasted(13))]
    assert lasted([0.9] * 8 + [0.0] * 30, start="60ms", speech_for="120ms") == [], "silence is no voice"
    assert lasted([0.9] * 9 + [0.0] * 30, start="60ms", speech_for="120ms") == [8]
    assert lasted([0.9] * 9, start="60ms", speech_for="0ms") == [2]


def test_a_gap_that_is_no_pause_belongs_to_the_voice() -> None:
    assert lasted([0.9] * 4 + [0.0] * 3 + [0.9] * 3, start="60ms", pause="100ms", speech_for="120ms") == [8]
    assert lasted([0.9] * 4 + [0.0] * 5 + [0.9] * 5, start="60ms", pause="100ms", speech_for="120ms") == []


def test_a_voice_that_begins_again_after_a_pause_must_last_again() -> None:
    voice = [0.9] * 20 + [0.0] * 6
    assert lasted(voice + voice, start="60ms", pause="100ms", speech_for="120ms") == [8, 32]


def test_a_voice_may_last_over_the_end_of_its_utterance_and_then_counts_once() -> None:
    assert lasted([0.9] * 90, longest="200ms", start="60ms", speech_for="400ms") == [22]


def test_a_voice_that_does_not_stop_is_ended_and_goes_on_as_the_next_utterance() -> None:
    found = marks([0.9] * 125 + [0.0] * 30, longest="1s", end="400ms", start="60ms")
    assert found == [
        (2, SpeechStarted(0)),
        (49, EndOfUtterance(1, 49, why="longest")),
        (52, SpeechStarted(50, goes_on=True)),
        (99, EndOfUtterance(2, 99, why="longest")),
        (102, SpeechStarted(100, goes_on=True)),
        (129, SpeechStopped(124)),
        (144, EndOfUtterance(3, 124)),
    ]


@pytest.mark.parametrize("more", [0, 1, 2])
def test_a_voice_that_stops_where_it_is_ended_has_no_other_utterance(more: int) -> None:
    """What is left of it is shorter than `start`."""
    found = marks([0.9] * (150 + more) + [0.0] * 60, longest="1s", end="400ms", start="60ms")
    assert [mark.utterance for _, mark in found if isinstance(mark, EndOfUtterance)] == [1, 2, 3]
    assert found[-1] == (169 + more, SpeechStopped(149 + more))
    found = marks([0.9] * (150 + more) + [0.0] * 60, ends_at=151 + more, longest="1s", end="400ms", start="60ms")
    assert (150 + more, InputEnded(151 + more)) in found


def test_a_voice_that_takes_a_breath_where_it_is_ended_still_goes_on() -> None:
    found = marks([0.9] * 51 + [0.0] * 10 + [0.9] * 20 + [0.0] * 30, longest="1s", end="400ms", start="60ms")
    assert found[1:3] == [(49, EndOfUtterance(1, 49, why="longest")), (63, SpeechStarted(50, goes_on=True))]
    assert found[-1] == (100, EndOfUtterance(2, 80))


def test_a_voice_that_comes_back_after_its_end_is_a_new_one() -> None:
    found = marks([0.9] * 50 + [0.0] * 20 + [0.9] * 20 + [0.0] * 30, longest="1s", end="400ms", start="60ms")
    assert found[2:4] == [(69, SpeechStopped(49)), (72, SpeechStarted(70))]
    assert found[-1] == (109, EndOfUtterance(2, 89))


def test_pauses_within_an_utterance_count_towards_its_length() -> None:
    found = marks(([0.9] * 20 + [0.0] * 5) * 4, longest="1s", end="400ms")
    assert (50, EndOfUtterance(1, 50, why="longest")) in found


@given(voiced=st.lists(st.integers(1, 120), min_size=1, max_size=6), longest=st.integers(5, 100))
def test_no_utterance_is_longer_than_the_longest_and_no_voice_is_lost(voiced: list[int], longest: int) -> None:
    """But for a pause that lies where it would have ended."""
    quiet = 4
    probabilities = [p for count in voiced for p in [0.9] * count + [0.0] * quiet]
    options = {"longest": f"{longest * 20}ms", "end": "100ms", "pause": "60ms", "start": "20ms"}
    found = [mark for _, mark in marks([*probabilities, 0.0, 0.0], **options)]
    ends = [mark.last_voiced for mark in found if isinstance(mark, EndOfUtterance)]
    begins = [0, *(end + 1 for end in ends)]
    assert all(end - begin < longest + quiet for begin, end in zip(begins, ends, strict=False))
    assert ends[-1] == len(probabilities) - quiet - 1
    assert [mark.frame for mark in found if isinstance(mark, SpeechStarted) and mark.goes_on] == begins[1:-1]


VOICES = st.lists(st.tuples(st.sampled_from([0.9, 0.4, 0.0]), st.integers(1, 40)), min_size=1, max_size=8)


@given(voices=VOICES, step=st.integers(1, 3), longest=st.integers(10, 60), start=st.integers(1, 6))
def test_every_utterance_has_one_start_and_one_end(
    voices: list[tuple[float, int]], step: int, longest: int, start: int
) -> None:
    """However often a voice is ended for its length: what ends has begun, behind the one before, and what begins ends."""
    probabilities = [p for p, count in voices for _ in range(count)] + [0.0] * 30
    found = marks(probabilities, step=step, longest=f"{longest * 20}ms", start=f"{start * 20}ms", end="400ms")
    speaking, last = False, -1
    for _, mark in found:
        if isinstance(mark, SpeechStarted):
            assert mark.frame > last
            speaking = True
        elif isinstance(mark, EndOfUtterance):
            assert speaking
            speaking, last = False, mark.last_voiced
    assert not speaking


# -- the silence asked for, by what was said -----------------------------------------------------------------------------

ADAPTIVE = {"complete": "200ms", "unsure": "400ms", "incomplete": "800ms"}


def ends(*answers: tuple[int, Prediction], end: object = ADAPTIVE, voiced: int = 20) -> tuple[int, EndOfUtterance]:
    """The end of an utterance with these answers, each before the probability of a frame, and that of a pause before it."""
    stage = Endpointing(Endpointing.Options.model_validate({"end": end}))
    state = stage.fresh()
    for frame in range(voiced + 100):
        for at, answer in answers:
            if at == frame:
                assert not stage.step(state, answer, 0)
        for action in stage.step(state, Probability(frame, 0.9 if frame < voiced else 0.0), 0):
            if isinstance(action, Emit) and isinstance(action.message, EndOfUtterance):
                return (frame - action.message.last_voiced) * 20, action.message
    raise AssertionError("it never ended")


def told(p: float, until: int = 25, by: str = "words") -> Prediction:
    return Prediction(p, by, until)


@pytest.mark.parametrize(
    ("p", "silence_ms", "why"),
    [(0.9, 200, "complete"), (0.7, 200, "complete"), (0.5, 400, "unsure"), (0.3, 800, "incomplete")],
)
def test_the_silence_is_that_of_what_was_said(p: float, silence_ms: int, why: str) -> None:
    assert ends((25, told(p))) == (silence_ms, EndOfUtterance(1, 19, why=why, by="words", p=p))


def test_without_an_answer_it_is_not_certain() -> None:
    assert ends() == (400, EndOfUtterance(1, 19, why="unsure", p=0.5))


def test_an_answer_that_does_not_know_the_last_words_counts_for_nothing() -> None:
    assert ends((15, told(0.9, until=18)))[0] == 400
    assert ends((15, told(0.9, until=-1)))[0] == 400, "its extent is not known, and more was said since"
    assert ends((24, told(0.9, until=-1)))[0] == 200


def test_an_answer_that_comes_late_decides_from_then_on() -> None:
    assert ends((33, told(0.9)))[0] == 280
    assert ends((33, told(0.1)))[0] == 800
    assert ends((50, told(0.1))) == (400, EndOfUtterance(1, 19, why="unsure", p=0.5)), "after the decision"


def test_the_most_certain_predictor_decides_and_the_newest_answer_of_each() -> None:
    assert ends((24, told(0.8)), (24, told(0.05, by="melody")))[1].by == "melody"
    assert ends((24, told(0.05)), (26, told(0.8)), (26, told(0.6, by="melody"))) == (
        200,
        EndOfUtterance(1, 19, why="complete", by="words", p=0.8),
    )


@given(
    answers=st.lists(st.tuples(st.integers(0, 70), st.builds(told, st.floats(0, 1), st.integers(-1, 70))), max_size=6)
)
def test_whatever_is_predicted_the_turn_ends_by_silence(answers: list[tuple[int, Prediction]]) -> None:
    silence_ms, end = ends(*answers)
    assert 200 <= silence_ms <= 800
    assert end.last_voiced == 19


def test_thresholds_decide_what_a_probability_means() -> None:
    assert ends((24, told(0.9)), end={**ADAPTIVE, "likely": 0.95})[0] == 400
    assert ends((24, told(0.1)), end={**ADAPTIVE, "unlikely": 0.05})[0] == 400


def test_an_end_shorter_than_the_pause_still_comes_after_one() -> None:
    found = marks(
        [0.9] * 10 + [0.0] * 30, end={"complete": "60ms", "unsure": "60ms", "incomplete": "60ms"}, pause="100ms"
    )
    assert [type(mark).__name__ for _, mark in found] == ["SpeechStarted", "SpeechStopped", "EndOfUtterance"]
