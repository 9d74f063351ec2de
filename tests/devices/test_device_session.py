"""Whole sessions on fake devices, under a clock that jumps: what users do, and how devices fail."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from flowkit.config import load
from flowkit.errors import DeviceError
from flowkit.figures.live import LiveFigures
from flowkit.figures.metrics import measure
from flowkit.messages import Heard, Hold, Interrupt, Resume, SpeechStarted, Utterance
from flowkit.plan import Plan, require
from flowkit.providers.sound.device import DeviceMic, DeviceSpeaker
from flowkit.runtime.host import run_alone
from flowkit.runtime.session import SessionOutcome
from flowkit.testing.sessions import Kept
from tests.devices.fake import HEADSET, FakeHost, noise, spans
from tests.virtual import waited_for

LONG = (
    "The capital of France is Paris. It lies on the Seine, has two million people, and is worth a journey at any time."
)
PIPELINE = """
flowkit: 1
name: claimed
stages:
  - {{kind: mic, provider: device}}
  - {{kind: vad, provider: scripted{vad}}}
  - {{kind: asr, provider: scripted, utterances: {utterances}}}
  - {{kind: gate{gate}}}
  - {{kind: llm, provider: scripted, replies: [{{text: "{long}"}}, {{text: "Madrid is."}}, {{text: "You are welcome."}}]}}
  - {{kind: chunker}}
  - {{kind: tts, provider: scripted}}
  - {{kind: speaker, provider: device{speaker}}}
"""
QUESTIONS = '["What is the capital of France?", "And of Spain?", "Thank you.", "Good bye."]'


def pipeline(gate: str = "", speaker: str = "", utterances: str = QUESTIONS, vad: str = "") -> Plan:
    text = PIPELINE.format(vad=vad, gate=gate, speaker=speaker, utterances=utterances, long=LONG)
    return require(load("claimed.yaml", text=text, environ={}))


class Watched(Kept):
    """Keeps rows and events, and gives access to the engine."""

    engine: Any = None


def session(
    host: FakeHost,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    *,
    seconds: float = 12.0,
    beside: Callable[[Watched], Awaitable[None]] | None = None,
) -> tuple[SessionOutcome, Watched]:
    """Run a session for `seconds` of virtual time, with `beside` running at the same time."""
    monkeypatch.setattr(DeviceMic, "host", host)
    monkeypatch.setattr(DeviceSpeaker, "host", host)
    clock, watched = trio.testing.MockClock(autojump_threshold=0), Watched()
    monkeypatch.setattr(trio.to_thread, "run_sync", waited_for(clock))

    async def whole() -> SessionOutcome:
        begun = trio.Event()

        def started(engine: Any, figures: LiveFigures) -> None:
            watched.engine = engine
            begun.set()

        async def card() -> None:
            # The card's zero is the session's.
            await begun.wait()
            await host.run()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(card)
            if beside is not None:
                nursery.start_soon(beside, watched)
            outcome = await run_alone(
                plan, notice=lambda line: None, observers=(watched,), duration_us=round(seconds * 1e6), started=started
            )
            nursery.cancel_scope.cancel()
        return outcome

    return trio.run(whole, clock=clock), watched


def messages(watched: Watched, kind: type[Any], stage: str = "gate") -> list[Any]:
    return [row.message for row in watched.all if row.stage == stage and isinstance(row.message, kind) and not row.fate]


def sounded_us(host: FakeHost) -> list[int]:
    """When each block that was not silent was played."""
    return [at_us for at_us, block in host.pops if block is not None]


async def until(watched: Watched, turn: str) -> None:
    """Wait until the gate is in this state."""
    while watched.engine is None or watched.engine.state("gate").turn.value != turn:
        await trio.sleep(0.005)


def test_a_question_is_answered_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 1300)))
    outcome, watched = session(host, pipeline(), monkeypatch)
    assert outcome.reason == "closed"
    assert [m.text for m in messages(watched, Utterance, "llm")] == ["What is the capital of France?"]
    report = measure(watched.all, plan=pipeline(), events=watched.events)
    began_us = sounded_us(host)[0]
    assert report.turns[0].ttfa_us is not None
    # The last loud block is handed over at 1.287 s: the card is 7 ms behind the grid and gives a block at its end.
    assert abs(began_us - 1_287_000 - report.turns[0].ttfa_us) <= 1_000
    assert sum(report.turns[0].parts_us or ()) == report.turns[0].ttfa_us


def test_an_interrupt_silences_the_device_within_a_frame_and_the_history_is_what_was_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = FakeHost(spans((300, 1300), (4000, 5000)))
    _, watched = session(host, pipeline(), monkeypatch)
    holds = [row for row in watched.all if isinstance(row.message, Hold) and not row.fate]
    assert len(holds) == 1
    decided_us = holds[0].handled_us
    begins_us = min(at_us for at_us in sounded_us(host) if at_us > decided_us + 500_000)
    late = [at_us for at_us in sounded_us(host) if decided_us < at_us < begins_us]
    assert all(at_us - decided_us <= 20_000 for at_us in late)
    report = measure(watched.all, plan=pipeline(), events=watched.events)
    assert len(report.interrupts) == 1
    assert report.interrupts[0].decision_to_silence_us <= 20_000 + 20_000  # the last frame is popped, then sounds
    assert report.interrupts[0].stale_frames == 0
    first_us = sounded_us(host)[0]
    frames = len([at_us for at_us in sounded_us(host) if first_us <= at_us < begins_us])
    spoken = frames * 20 / 60  # the scripted voice says a character in 60 ms
    heard = messages(watched, Utterance, "llm")[1].heard
    assert heard
    assert LONG.startswith(heard)
    # To the character the reply was heard so far; what is kept ends with the last whole word before.
    assert len(heard) <= spoken + 2
    assert len(LONG[: round(spoken)].rsplit(" ", 1)[0]) - len(heard) <= 2


@pytest.mark.parametrize(
    ("cough", "gate", "vad"),
    [((3000, 3050), "", ""), ((3000, 3300), ", min_words: 1", ""), ((3000, 3300), "", ", speech_for: 400ms")],
    ids=["a click", "a cough, by its words", "a cough, by its length"],
)
def test_a_cough_is_held_and_then_resumed_at_the_held_sample(
    cough: tuple[int, int], gate: str, vad: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(spans((300, 1300), cough))
    _, watched = session(
        host, pipeline(gate, utterances='["What is the capital of France?", ""]', vad=vad), monkeypatch
    )
    assert len(messages(watched, Hold, "speaker")) == 1
    assert len(messages(watched, Resume, "speaker")) == 1
    assert not messages(watched, Interrupt, "speaker")
    resumed_us = next(row.handled_us for row in watched.all if isinstance(row.message, Resume))
    assert resumed_us - cough[1] * 1000 < 800_000
    plays = messages(watched, Heard)
    assert "".join(m.text for m in plays).strip() == LONG
    # Nothing is lost and nothing sounds twice: as many samples were popped as the clauses have, but for their padding.
    popped = sum(len(block) // 2 for _, block in host.pops if block is not None)
    total = sum(m.total for m in plays)
    assert total <= popped <= total + 4 * 320


def test_three_interruptions_within_a_second_are_one_and_leave_a_clean_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 1300), (3000, 3200), (3340, 3540), (3680, 3900)))
    _, watched = session(host, pipeline(), monkeypatch)
    assert len(messages(watched, Interrupt, "speaker")) == 1
    assert [m.text for m in messages(watched, Utterance, "llm")][1:] == ["And of Spain?"]
    assert messages(watched, Heard)[-1].text.strip() == "Madrid is."


def test_words_that_are_to_be_ignored_hold_and_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 1300), (3000, 3600)))
    utterances = '["What is the capital of France?", "Uh-huh, okay."]'
    plan = pipeline(gate=", ignore: [uh-huh, okay], resume_after: 1500ms", utterances=utterances)
    _, watched = session(host, plan, monkeypatch)
    assert messages(watched, Hold, "speaker")
    assert len(messages(watched, Resume, "speaker")) == 1
    assert not messages(watched, Interrupt, "speaker")
    assert "".join(m.text for m in messages(watched, Heard)).strip() == LONG


@pytest.mark.parametrize(("words", "interrupts"), [(3, 1), (4, 0)])
def test_min_words_counts_what_was_recognised(words: int, interrupts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Shorter than what interrupts whatever the words are.
    host = FakeHost(spans((300, 1300), (3000, 4000)))
    _, watched = session(host, pipeline(gate=f", min_words: {words}"), monkeypatch)
    assert len(messages(watched, Interrupt, "speaker")) == interrupts


def test_pure_noise_ends_no_session_and_starts_no_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(lambda tick: noise(tick))
    outcome, watched = session(host, pipeline(utterances="[]"), monkeypatch, seconds=20)
    assert outcome.reason == "closed"
    assert not messages(watched, Utterance, "llm")
    assert len(messages(watched, SpeechStarted)) == 1


def test_a_user_who_never_speaks_waits_for_ever_in_peace(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome, watched = session(FakeHost(spans()), pipeline(), monkeypatch, seconds=20)
    assert outcome.reason == "closed"
    assert not messages(watched, SpeechStarted)


def test_a_user_who_never_stops_is_heard_and_the_agent_keeps_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 1300), (3000, math.inf)))  # type: ignore[arg-type]
    outcome, watched = session(host, pipeline(), monkeypatch, seconds=20)
    assert outcome.reason == "closed"
    assert len(messages(watched, Interrupt, "speaker")) == 1
    assert max(sounded_us(host)) < 3_300_000


@pytest.mark.parametrize("state", ["listening", "hearing", "concluding", "thinking", "speaking", "held"])
def test_a_device_unplugged_in_any_state_comes_back_into_a_working_session(
    state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost(spans((300, 1300), (3000, 3090), (9000, 10000)))
    gone_s = []

    async def pull(watched: Watched) -> None:
        await until(watched, state)
        gone_s.append(trio.current_time())
        host.unplug()
        await trio.sleep(2)
        host.plug(HEADSET)

    outcome, watched = session(host, pipeline(), monkeypatch, seconds=16, beside=pull)
    assert outcome.reason == "closed"
    names = [name for _, name, _ in watched.events]
    for noun in ("microphone", "speaker"):
        assert names.count(f"{noun} lost") == 1, names
        assert names.count(f"{noun} back") == 1, names
    # What was said before the loss was answered at the latest afterwards, and the question behind it in any case.
    released = messages(watched, Utterance, "llm")
    assert released
    assert messages(watched, Heard)
    assert max(sounded_us(host)) > 10_000_000


def test_a_microphone_that_is_gone_hears_silence_so_that_the_turn_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 60_000)))

    async def pull(watched: Watched) -> None:
        await until(watched, "hearing")
        await trio.sleep(1)
        host.unplug()

    _, watched = session(host, pipeline(), monkeypatch, seconds=8, beside=pull)
    assert len(messages(watched, Utterance, "llm")) == 1


def test_no_device_at_the_start_is_an_error_and_no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        session(FakeHost(spans(), present=[]), pipeline(), monkeypatch)
    assert caught.group_contains(DeviceError, match="there is no (microphone|speaker) on this machine")


def test_an_open_speaker_is_done_without_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 1300)), present=[HEADSET._replace(outputs=0)])
    _, watched = session(host, pipeline(speaker=", if_any: true"), monkeypatch)
    assert messages(watched, Utterance, "llm")
    assert not host.pops


def test_a_busy_pipeline_lets_the_ring_drop_the_oldest_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(spans((300, 1300)))

    async def burst(watched: Watched) -> None:
        await until(watched, "listening")
        stream = next(s for s in host.streams if s.direction == "input")
        for _ in range(75):  # a second and a half at once, into a ring of one second
            host.callbacks[stream](bytes(640), False)  # type: ignore[call-arg, arg-type]

    _, watched = session(host, pipeline(), monkeypatch, seconds=6, beside=burst)
    assert any(name == "microphone overrun" for _, name, _ in watched.events)
    frames = [row.message.index for row in watched.all if row.stage == "mic" and row.kind == "Frames"]  # type: ignore[attr-defined]
    assert frames == sorted(set(frames))
    assert frames[-1] + 1 - len(frames) == 25
