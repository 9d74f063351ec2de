"""Playback with single messages: when each sample is due, what a hold keeps, what was heard."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.messages import (
    Audio,
    ClauseEnded,
    ClauseStarted,
    EndOfReply,
    Heard,
    Hold,
    Interrupt,
    Message,
    Play,
    PlaybackStarted,
    Played,
    Render,
    ReplyPlayed,
    Resume,
    Silence,
    Timer,
    WordTimes,
)
from flowkit.providers.sound.timeline import Timeline
from flowkit.stages.base import Action, Emit, Feed, Open, SetTimer
from flowkit.stages.playback import PATIENCE_US, Output, Playback, PlaybackState

NEXT = Timer("next")
START, END = "clause started", "clause ended"


class Driven:
    """Playback with its state. The time of each message is given in ms."""

    def __init__(self, **options: Any) -> None:
        self.stage = Playback(Playback.Options.model_validate(options))
        self.state: PlaybackState = self.stage.fresh()

    def __call__(self, at_ms: float, *messages: Message) -> list[Message]:
        """The actions for these messages: what is fed to the device, and what goes to the gate."""
        said: list[Message] = []
        for message in messages:
            said += [
                _of(a) for a in self.stage.step(self.state, message, round(at_ms * 1000)) if isinstance(a, (Emit, Feed))
            ]
        return said

    def timer_ms(self, at_ms: float, message: Message) -> float | None:
        actions = self.stage.step(self.state, message, round(at_ms * 1000))
        at_us = next(a.at_us for a in actions if isinstance(a, SetTimer))
        return None if at_us is None else at_us / 1000

    def takes_audio(self) -> bool:
        return "audio" in self.stage.accepts(self.state)


def _of(action: Action) -> Message:
    assert isinstance(action, (Emit, Feed))
    return action.message if isinstance(action, Emit) else action.item


def started(index: int, text: str) -> ClauseStarted:
    return ClauseStarted(index, text, text.strip())


def audio(ms: float, first_ms: float = 0, clause: int = 0, rate: int = 16_000, total: int = 0) -> Audio:
    count, first = round(ms * rate / 1000), round(first_ms * rate / 1000)
    return Audio(clause, first, count, rate, total, bytes(2 * count))


def test_the_first_sample_is_due_at_the_next_tick() -> None:
    play, started = Driven()(113, audio(100))
    assert isinstance(play, Play)
    assert (play.at_us, play.samples, len(play.pcm)) == (120_000, 1_600, 3_200)
    assert started == PlaybackStarted(0, 120_000)
    assert Driven()(120, audio(100))[1] == PlaybackStarted(0, 120_000)


def test_pieces_follow_each_other_and_the_lead_is_kept() -> None:
    playback = Driven(lead="100ms")
    assert playback.timer_ms(0, audio(100)) is None
    assert playback.takes_audio()
    assert playback.timer_ms(0, audio(100, 100)) == 100
    assert not playback.takes_audio()
    playback(100, NEXT)
    assert playback.takes_audio()
    (play,) = playback(100, audio(50, 200))
    assert isinstance(play, Play)
    assert play.at_us == 200_000


def test_sound_that_ran_dry_goes_on_at_a_tick_the_device_still_has() -> None:
    playback = Driven()
    playback(0, audio(30))
    (play,) = playback(25, audio(30, 30))
    assert isinstance(play, Play)
    assert play.at_us == 40_000, "the frame from 20 ms on, which ends at 40, has been popped half empty"


def test_marks_are_told_when_they_are_reached() -> None:
    playback = Driven()
    playback(0, started(0, " One."), audio(40), ClauseEnded(0, 640), EndOfReply())
    assert playback(39, NEXT) == []
    assert playback(40, NEXT) == [Heard(0, " One.", 640, 640), ReplyPlayed()]
    assert playback.state.sound is Output.IDLE


def test_a_clause_without_sound_is_heard_where_it_stands() -> None:
    playback = Driven()
    assert playback(0, started(0, "**"), ClauseEnded(0, 0)) == [Heard(0, "**", 0, 0)]


def test_a_clause_of_which_nothing_is_spoken_is_not_heard() -> None:
    playback = Driven()
    silent = ClauseStarted(0, " \N{GRINNING FACE}", "")
    assert playback(0, silent, ClauseEnded(0, 0)) == [Heard(0, "", 0, 0)]


def test_a_hold_cuts_at_the_next_tick_and_resumes_at_that_sample() -> None:
    playback = Driven()
    playback(0, audio(100))
    assert playback(53, Hold()) == [Silence(60_000)]
    assert not playback.takes_audio()
    assert playback(200, Hold(), NEXT) == []
    play, *_ = resumed = playback(333, Resume())[::-1]
    assert resumed[-1] == PlaybackStarted(0, 340_000)
    assert isinstance(play, Play)
    assert (play.at_us, play.first_sample, play.samples, len(play.pcm)) == (340_000, 960, 640, 1_280)


def test_a_resume_hands_over_a_handful_however_small_the_pieces() -> None:
    """They would overrun the channel to the device, whose bound counts pieces."""
    playback = Driven(lead="300ms")
    for i in range(300):
        playback(0, audio(1, i))
    playback(95, Hold())
    plays = [m for m in playback(400, Resume()) if isinstance(m, Play)]
    assert [(play.first_sample, play.samples, len(play.pcm)) for play in plays] == [(1_600, 3_200, 6_400)]


def test_a_hold_before_any_sound_keeps_what_comes() -> None:
    playback = Driven()
    assert playback(0, Hold()) == []
    assert playback(10, audio(20)) == []
    assert [type(m) for m in playback(100, Resume())] == [PlaybackStarted, Play]


def test_a_resume_of_nothing_is_nothing() -> None:
    assert Driven()(0, Resume()) == []
    playback = Driven()
    playback(0, Hold())
    assert playback(50, Resume()) == []
    assert playback.state.sound is Output.IDLE


def test_a_reply_that_has_sounded_when_it_is_held_is_complete() -> None:
    playback = Driven()
    playback(0, started(0, "One."), audio(50), ClauseEnded(0, 800), EndOfReply())
    assert playback(45, Hold()) == [Heard(0, "One.", 800, 800), ReplyPlayed()]


@pytest.mark.parametrize(
    ("at_ms", "heard"),
    [
        (0, []),
        (15, [""]),
        (45, ["One"]),
        (100, ["One two"]),
        (139, ["One two three."]),
        (240, ["One two three.", " Four"]),
    ],
)
def test_an_interrupt_tells_what_was_heard(at_ms: int, heard: list[str]) -> None:
    """Ten milliseconds a character: whole words up to the next tick."""
    playback = Driven(lead="1s")
    playback(0, started(0, "One two three."), audio(140, total=2_240), ClauseEnded(0, 2_240))
    playback(0, started(1, " Four five six seven."), audio(300, clause=1, total=4_800))
    said = playback(at_ms, Interrupt())
    assert [m.text for m in said if isinstance(m, Heard)] == heard
    assert Silence(-(-at_ms // 20) * 20_000) in said


def test_of_a_clause_that_the_voice_broke_off_the_share_of_the_whole_was_heard() -> None:
    """Though its end mark is known: what the voice gave is not how long the clause would have been."""
    playback = Driven()
    playback(0, started(0, "Are you there?"), audio(100, total=3_360), ClauseEnded(0, 1_600, whole=False))
    told = playback(80, Interrupt())
    assert [m.text for m in told if isinstance(m, Heard)] == ["Are"]


def test_word_times_beat_the_share_of_samples() -> None:
    playback = Driven()
    playback(0, ClauseStarted(0, "a extraordinarily long", "a extraordinarily long"))
    playback(0, WordTimes(0, (("a", 320), ("extraordinarily", 12_800), ("long", 16_000))), audio(1_000, total=16_000))
    heard = playback(795, Interrupt())[-1]
    assert heard == Heard(0, "a extraordinarily", 12_800, 16_000)


def test_without_a_total_the_text_is_estimated_by_reading_speed() -> None:
    playback = Driven()
    text = "Some words that go on and on for a good while."
    playback(0, ClauseStarted(0, text, text), audio(2_000))
    heard = playback(1_000, Interrupt())[-1]
    assert isinstance(heard, Heard)
    assert heard.text == "Some words that"
    assert (heard.played, heard.total) == (16_000, 0)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("今日の天気は晴れです。", "今日の"),
        ("你好，今天天气很好。", "你好，"),
        ("วันนี้อากาศดีมากครับ", "วันนี้"),
        ("The sky is **so** blue.", "The sky"),
    ],
)
def test_of_a_third_of_a_clause_about_a_third_was_heard_in_every_script(text: str, heard: str) -> None:
    playback = Driven()
    playback(0, started(0, text), audio(1_500, total=24_000))
    assert [m.text for m in playback(500, Interrupt()) if isinstance(m, Heard)] == [heard]


def test_word_times_are_found_in_a_text_without_spaces() -> None:
    playback = Driven()
    times = WordTimes(0, (("今日", 8_000), ("の", 16_000), ("天気", 32_000)))
    playback(0, started(0, "今日の天気"), times, audio(2_000, total=32_000))
    assert [m.text for m in playback(1_100, Interrupt()) if isinstance(m, Heard)] == ["今日の"]


def test_it_opens_the_device() -> None:
    stage = Playback(Playback.Options())
    assert list(stage.begin(stage.fresh())) == [Open(Render())]


@given(
    rate=st.sampled_from((8_000, 11_025, 16_000, 22_050, 24_000, 44_100)),
    pieces=st.lists(st.integers(1, 3_000), min_size=1, max_size=60),
)
def test_no_rate_drifts(rate: int, pieces: list[int]) -> None:
    """However odd the pieces: each is due where all samples before it end, to the microsecond."""
    playback = Driven(lead="100s")
    due, first = [], 0
    for count in pieces:
        said = playback(0, Audio(0, first, count, rate, 0, bytes(2 * count)))
        due.append((first, next(m.at_us for m in said if isinstance(m, Play))))
        first += count
    assert due == [(sample, sample * 1_000_000 // rate) for sample, _ in due]


@given(
    rate=st.sampled_from((8_000, 11_025, 22_050, 44_100)),
    pieces=st.lists(st.integers(1, 2_000), min_size=1, max_size=12),
    stops_us=st.lists(st.integers(1, 120_000), max_size=6),
)
def test_holds_at_any_instant_lose_and_repeat_no_sample(rate: int, pieces: list[int], stops_us: list[int]) -> None:
    playback, device, now_us, popped = Driven(lead="100s"), Timeline(), 0, []
    first = 0

    def give(at_us: int, *messages: Message) -> None:
        tick_us = -(-at_us // 20_000) * 20_000
        for item in playback(at_us / 1000, *messages):
            popped.extend(device.pop_until(tick_us))
            if isinstance(item, Play):
                assert item.at_us >= tick_us
                device.play(item)
            elif isinstance(item, Silence):
                device.silence(item.at_us)

    for count in pieces:
        give(0, Audio(0, first, count, rate, 0, bytes(2 * count)))
        first += count
    for stop_us in stops_us:
        give(now_us + stop_us, Hold())
        now_us += stop_us + 33_333
        give(now_us, Resume())
    popped.extend(device.pop_until(10**9))
    place = 0
    for pop in popped:
        assert pop.first_sample == place
        place += pop.samples
    assert place == first


# -- a device that reports what it has played ---------------------------------------------------------------------------


def reporting(**options: Any) -> Driven:
    playback = Driven(**options)
    assert playback(0, Played(0, 0)) == []
    return playback


def test_what_a_device_reports_was_heard_whatever_the_time_is() -> None:
    playback = reporting()
    playback(0, started(0, " One."), audio(100), ClauseEnded(0, 1_600), EndOfReply())
    assert playback(500, NEXT, Played(0, 1_599)) == []
    assert playback(501, Played(0, 1_600)) == [Heard(0, " One.", 1_600, 1_600), ReplyPlayed()]


def test_of_an_interrupted_reply_that_was_heard_which_was_reported() -> None:
    playback = reporting()
    playback(0, started(0, " One two three four."), audio(100, total=3_200), audio(100, 100, total=3_200))
    playback(150, Played(0, 800))
    *_, heard = playback(190, Interrupt())
    assert heard == Heard(0, " One", 800, 3_200)


def test_without_any_report_nothing_was_heard() -> None:
    playback = reporting()
    playback(0, started(0, " One two three four."), audio(100))
    assert playback(190, Interrupt()) == [Silence(200_000)]


def test_a_device_may_play_on_while_the_reply_is_held() -> None:
    playback = reporting()
    playback(0, started(0, " One."), audio(100), audio(100, 100))
    assert playback(50, Hold()) == [Silence(60_000)]
    playback(130, Played(0, 2_000))
    (play,) = [m for m in playback(300, Resume()) if isinstance(m, Play)]
    assert (play.at_us, play.first_sample, play.samples) == (300_000, 2_000, 1_200)


def test_a_reply_whose_end_is_never_reported_ends_all_the_same() -> None:
    playback = reporting()
    playback(0, started(0, " One."), audio(100), ClauseEnded(0, 1_600))
    assert playback.timer_ms(0, EndOfReply()) == 100 + PATIENCE_US / 1000
    assert playback(100 + PATIENCE_US / 1000, NEXT)[-1] == ReplyPlayed()


def test_the_next_reply_is_told_by_reports_too() -> None:
    playback = reporting()
    playback(0, started(0, " One."), audio(100))
    playback(10, Interrupt())
    playback.state = playback.stage.reset(playback.state)
    playback(1000, started(0, " Two."), audio(100), ClauseEnded(0, 1_600), EndOfReply())
    assert playback(2000, NEXT) == []
    assert playback(2000, Played(0, 1_600))[-1] == ReplyPlayed()


@given(
    st.lists(st.integers(1, 3_000), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from(["report", "hold", "resume", "wait"]), st.integers(0, 8_000)), max_size=12),
)
def test_reports_in_any_order_are_never_unlearned(pieces: list[int], steps: list[tuple[str, int]]) -> None:
    """What was heard at the interruption is the furthest report, whatever holds and resumes lie between."""
    playback, first, reported, now_ms = reporting(lead="10s"), 0, 0, 0.0
    playback(0, started(0, " One two three four five six seven eight nine ten."))
    for count in pieces:
        playback(0, Audio(0, first, count, 16_000, 30_000, bytes(2 * count)))
        first += count
    for name, number in steps:
        now_ms += 5
        if name == "report":
            reported = max(reported, min(number, first))
            playback(now_ms, Played(0, min(number, first)))
        elif name == "wait":
            playback(now_ms, NEXT)
        else:
            playback(now_ms, Hold() if name == "hold" else Resume())
    heard = [m.played for m in playback(now_ms + 5, Interrupt()) if isinstance(m, Heard)]
    assert heard == ([reported] if reported else [])
