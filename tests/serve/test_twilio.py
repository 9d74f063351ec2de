"""Telephone calls over Twilio Media Streams, in virtual time: a caller whose marks come back with a delay."""

from __future__ import annotations

import base64
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.messages import Ask, Heard, Hold, Interrupt, Keys, Play, Played, ReplyPlayed
from flowkit.serve.twilio.line import FRAME
from flowkit.serve.twilio.protocol import TABLE, CallPhase
from tests.serve.phone import CALL, QUIET, STREAM_SID, VOICE, HeapCaller, loudness, told_and_sent
from tests.serve.support import TALK, S

ANSWER = "Very well, thank you, it is a town on a river, with bridges and with towers."
GREETED = "greeting.text=Hello and welcome."
ENDING = TALK.replace(
    "calls: [{name: look, arguments: '{\"at\": 1}'}]", "calls: [{name: end_session, arguments: '{}'}]"
)


def asked(caller: HeapCaller) -> None:
    caller.say(VOICE + QUIET)
    caller.listen(9 * S)


# -- a call ------------------------------------------------------------------------------------------------------------


def test_a_spoken_turn_is_heard_to_its_end_and_replays() -> None:
    caller = HeapCaller()
    asked(caller)
    played_us = sum(play.samples * S // play.rate_hz for play in caller.messages(Play))
    assert 0 <= caller.sounded_us() - played_us < 40_000
    assert "".join(heard.text for heard in caller.messages(Heard)).strip() == ANSWER
    assert not caller.phone.broken
    assert caller.replays()


def test_media_is_20_ms_of_mu_law_for_the_stream_without_a_gap() -> None:
    caller = HeapCaller()
    asked(caller)
    for event in caller.got:
        assert event["streamSid"] == STREAM_SID
        assert event["event"] != "media" or len(base64.b64decode(event["media"]["payload"])) == FRAME
    starts = [at_us for at_us, _ in caller.heard]
    assert [later - earlier for earlier, later in pairwise(starts)] == [20_000] * (len(starts) - 1)
    assert loudness(b"".join(sound for _, sound in caller.heard)) > 1


def test_the_greeting_begins_at_once() -> None:
    caller = HeapCaller(GREETED)
    caller.listen(3 * S)
    assert caller.heard[0][0] - caller.line_us <= 200_000
    assert caller.messages(Heard)[0].text == "Hello and welcome."


@pytest.mark.parametrize("line_us", [0, 40_000, 300_000])
def test_a_reply_is_over_when_its_last_mark_is_back(line_us: int) -> None:
    caller = HeapCaller(GREETED, line_us=line_us)
    while not caller.messages(ReplyPlayed):
        caller.listen(20_000)
    assert caller.us - (caller.heard[-1][0] + 20_000) <= line_us + 40_000
    assert caller.us >= caller.heard[-1][0] + 20_000 + line_us


@pytest.mark.parametrize("line_us", [20_000, 200_000])
@pytest.mark.parametrize("after_us", [900_000, 1_500_000, 2_700_000])
def test_what_was_heard_at_an_interruption_comes_from_marks(line_us: int, after_us: int) -> None:
    """It is what sounded at the caller, less what the last mark does not tell: 100 ms and the way of the mark."""
    caller = HeapCaller(line_us=line_us)
    caller.say(VOICE + QUIET)
    caller.listen(after_us)
    caller.say(VOICE)
    decided_us = next(row.handled_us for row in caller.pump.engine.journal.rows if type(row.message) is Interrupt)
    sounded_us = 20_000 * sum(at_us < decided_us for at_us, _ in caller.heard)
    rate_hz = caller.messages(Play)[0].rate_hz
    told_us = sum(heard.played for heard in caller.messages(Heard)) * S / rate_hz
    assert sounded_us > 300_000
    assert sounded_us - 140_000 - line_us <= told_us <= sounded_us
    assert caller.replays()


def test_an_interruption_clears_and_no_byte_of_the_old_reply_follows() -> None:
    caller = HeapCaller()
    caller.say(VOICE + QUIET)
    caller.listen(1_500_000)
    before = len(caller.got)
    caller.say(VOICE)
    names = caller.names()[before:]
    assert names.count("clear") == 1
    assert set(names[names.index("clear") + 1 :]) == set()
    (cleared_us,) = caller.cleared
    caller.say(QUIET)
    caller.listen(500_000)
    silent = [at_us for at_us, _ in caller.heard if at_us >= cleared_us]
    assert not silent or silent[0] > cleared_us + 300_000


def test_the_marks_of_what_twilio_discards_say_nothing() -> None:
    caller = HeapCaller()
    caller.say(VOICE + QUIET)
    caller.listen(1_500_000)
    caller.say(VOICE)
    before = len(caller.messages(Played))
    caller.listen(200_000)
    assert len(caller.messages(Played)) == before


def test_a_noise_that_is_withdrawn_leaves_no_gap_and_repeats_nothing() -> None:
    caller = HeapCaller("interrupt.speech_for=400ms")
    caller.say(VOICE + QUIET)
    caller.listen(1_000_000)
    caller.say(VOICE[:1_600])
    caller.listen(9 * S)
    assert caller.messages(Hold)
    quiet = HeapCaller("interrupt.speech_for=400ms")
    asked(quiet)
    assert "clear" not in caller.names()
    assert b"".join(sound for _, sound in caller.heard) == b"".join(sound for _, sound in quiet.heard)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_are_answered_like_words() -> None:
    caller = HeapCaller()
    for digit in "12":
        caller.press(digit)
        caller.listen(300_000)
    assert not caller.messages(Keys)
    caller.listen(2 * S)
    assert [keys.keys for keys in caller.messages(Keys)] == ["12"]
    assert caller.messages(Ask)[0].text == "[keys: 12]"
    assert caller.replays()


def test_the_last_key_passes_them_on_at_once_and_they_interrupt() -> None:
    caller = HeapCaller()
    caller.say(VOICE + QUIET)
    caller.listen(1_500_000)
    for digit in "7#":
        caller.press(digit)
    assert "clear" in caller.names()
    assert [keys.keys for keys in caller.messages(Keys)] == ["7"]
    caller.press("#")
    assert len(caller.messages(Keys)) == 1


def test_keys_during_a_greeting_that_must_be_heard_are_answered_afterwards() -> None:
    caller = HeapCaller(GREETED, "greeting.interruptible=false")
    caller.listen(300_000)
    caller.press("1")
    caller.press("#")
    assert "clear" not in caller.names()
    caller.listen(9 * S)
    assert caller.messages(Ask)[0].text == "[keys: 1]"


# -- what breaks the protocol ------------------------------------------------------------------------------------------


def media(**changed: Any) -> dict[str, Any]:
    return {"track": "inbound", "payload": base64.b64encode(QUIET[:160]).decode(), **changed}


BROKEN: dict[str, tuple[Callable[[HeapCaller], Any], str]] = {
    "no JSON": (lambda c: c.send_text("{"), "not JSON"),
    "binary": (lambda c: c.send_text(None), "not JSON"),
    "no object": (lambda c: c.send_text("[]"), "not an object"),
    "nested": (lambda c: c.send_text("[" * 100_000), "not JSON"),
    "odd Base64": (lambda c: c.twilio("media", media(payload="A")), "not Base64"),
    "no payload": (lambda c: c.twilio("media", media(payload=3)), "no payload"),
    "second start": (lambda c: c.twilio("start", {}), "start is out of place"),
    "a number that is none": (lambda c: c.twilio("media", media(), sequenceNumber=7), "sequenceNumber"),
    "no key": (lambda c: c.press("12"), "no digit"),
    "too fast": (lambda c: [c.twilio("media", media(payload=base64.b64encode(VOICE).decode())) for _ in range(99)],
                 "ahead of its time"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_protocol_ends_the_call_with_a_reason(name: str) -> None:
    break_, why = BROKEN[name]
    caller = HeapCaller()
    break_(caller)
    assert why in caller.phone.broken
    caller.twilio("media", media())
    assert not caller.phone.over


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"customParameters": {"ticket": "bad"}}, "no valid ticket"),
        ({"customParameters": {}}, "no valid ticket"),
        ({"callSid": "CA9999"}, "no valid ticket"),
        ({"callSid": None}, "no callSid"),
        ({"mediaFormat": {"encoding": "audio/x-l16", "sampleRate": 8000}}, "mu-law"),
        ({"mediaFormat": None}, "not an object"),
    ],
)
def test_a_stream_that_is_not_admitted(changed: dict[str, Any], why: str) -> None:
    caller = HeapCaller(starts=False)
    caller.twilio("connected")
    caller.start(**changed)
    assert why in caller.phone.broken
    assert not caller.phone.ready


def test_media_before_the_start() -> None:
    caller = HeapCaller(starts=False)
    caller.twilio("connected")
    caller.twilio("media", media())
    assert caller.phone.broken == "media is out of place"


def test_what_is_left_out() -> None:
    """Messages out of order, of another stream or another track, and those that nobody has documented yet."""
    caller = HeapCaller()
    caller.twilio("media", media(), sequenceNumber="1")
    caller.twilio("media", media(), streamSid="MZ9999")
    caller.twilio("media", media(track="outbound"))
    caller.twilio("novelty")
    caller.twilio("mark", {"name": "999"})
    assert not caller.phone.broken
    assert not caller.messages(Played)[1:]


def test_hanging_up_in_the_middle_of_a_reply() -> None:
    caller = HeapCaller()
    caller.say(VOICE + QUIET)
    caller.listen(1_500_000)
    caller.twilio("stop", {"accountSid": "AC0123", "callSid": CALL})
    assert caller.phone.over
    caller.twilio("media", media())
    assert not caller.phone.broken


def test_the_table_of_calls_has_a_row_for_every_documented_message() -> None:
    documented = {"connected", "start", "media", "mark", "dtmf", "stop"}
    assert {event for _, event in TABLE} == documented
    assert {phase for phase, _ in TABLE} == set(CallPhase) - {CallPhase.OVER}


# -- whatever comes ----------------------------------------------------------------------------------------------------

MESSAGES = st.sampled_from(
    ["voice", "quiet", "mark", "foreign mark", "1", "#", "late", "other stream", "novelty", "outbound", "wait"]
)


@settings(max_examples=settings.default.max_examples // 20)
@given(st.lists(MESSAGES, max_size=12), st.sampled_from([0, 60_000, 400_000]))
def test_any_sequence_of_messages(sequence: list[str], line_us: int) -> None:
    """Nothing raises, the marks never tell more than was sent, and the next question is answered."""
    caller = HeapCaller(line_us=line_us)
    caller.step_us = caller.piece_us = 100_000
    for name in sequence:
        match name:
            case "voice":
                caller.say(VOICE)
            case "quiet":
                caller.say(QUIET)
            case "wait":
                caller.wait(1_500_000)
            case "mark" | "foreign mark":
                caller.twilio("mark", {"name": "3" if name == "mark" else "x"})
            case "1" | "#":
                caller.press(name)
            case "late":
                caller.twilio("media", media(), sequenceNumber="0")
            case "other stream":
                caller.twilio("media", media(), streamSid="MZ9")
            case "outbound":
                caller.twilio("media", media(track="outbound"))
            case _:
                caller.twilio(name)
    caller.listen(7 * S)
    before = len(caller.messages(ReplyPlayed))
    caller.press("1")
    caller.press("#")
    caller.listen(14 * S)
    assert not caller.phone.broken
    assert len(caller.messages(ReplyPlayed)) > before
    assert caller.replays()


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(1, 4_000)), min_size=1, max_size=12),
    st.sampled_from([8_000, 16_000, 22_050, 24_000]),
)
def test_a_mark_never_tells_more_than_has_left(plays: list[tuple[int, int]], rate_hz: int) -> None:
    """At each mark the sound that was sent before it is at least as long as what it says was played."""
    found = told_and_sent(plays, rate_hz)
    assert all(told_us <= sent_us + 1 for told_us, sent_us in found)
    # The last one tells of everything, and what was sent ends with less than a frame of silence.
    length_us = sum(count for _, count in plays) * S / rate_hz
    assert found[-1][0] == pytest.approx(length_us)
    assert 0 <= found[-1][1] - length_us < 23_000
