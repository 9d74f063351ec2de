"""Who gets the floor: labels of interruptions, sessions with an agent that talks, and what stands in a trace."""

from __future__ import annotations

import json
import shutil
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowkit.calls.export import lines_of
from flowkit.cli import main
from flowkit.errors import InputError, UsageError
from flowkit.messages import Frames, Message, Probability
from flowkit.plan.graph import Plan, ProviderChoice
from flowkit.providers.inline import InlineCall, InlineProvider
from flowkit.testing.sessions import scripted_plan
from flowkit.testing.turns.floor import FloorOutcome, FloorResult, floor_outcomes, talking_plan
from flowkit.testing.turns.labels import Interruption, Labelled, Wish, checked
from flowkit.trace.reader import read_trace

RATE = 16_000
TRACES = Path(__file__).resolve().parents[2] / "traces"


class LoudVad(InlineProvider):
    """Takes any sound for speech."""

    kind, name = "vad", "loud"

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterator[tuple[int, Message]]:
        if isinstance(item, Frames):
            yield 0, Probability(item.index, 1.0 if np.frombuffer(item.pcm, "<i2").any() else 0.0)


def plan(words: str = "wait a moment", ignore: tuple[str, ...] = (), **gate: Any) -> Plan:
    made = scripted_plan(asr={"utterances": (words,)}, gate={"ignore": ignore, **gate})
    stages = (
        replace(s, provider=ProviderChoice("loud", LoudVad, LoudVad.Options())) if s.kind == "vad" else s
        for s in made.stages
    )
    return replace(made, stages=tuple(stages))


def recording(
    folder: Path,
    *spans: tuple[float, float],
    kind: str = "take_over",
    channels: int = 1,
    labels: dict[str, Any] | None = None,
) -> Labelled:
    """A WAV file whose last channel has a tone in each span, and labels of the same."""
    sound = np.zeros((round((spans[-1][1] + 1) * RATE), channels), "<i2")
    for begins, ends in spans:
        sound[round(begins * RATE) : round(ends * RATE), -1] = 8_000
    with wave.open(str(folder / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(sound.tobytes())
    listed = [{"begins": begins, "ends": ends, "kind": kind} for begins, ends in spans]
    return Labelled(folder / "a.wav", checked({"interruptions": listed, **(labels or {})}, "here"))


def test_a_voice_that_lasts_stops_the_agent_and_a_short_one_does_not(tmp_path: Path) -> None:
    (lasts,) = floor_outcomes(recording(tmp_path, (1.0, 1.6)), plan())
    # Detected after `start`, and silent from then on.
    assert (lasts.silent_ms, lasts.right) == (60, True)
    (short,) = floor_outcomes(recording(tmp_path, (1.0, 1.14)), plan())
    assert (short.silent_ms, short.right) == (None, False)
    assert 0 < short.paused_ms <= 300


def test_words_that_are_ignored_give_the_floor_back(tmp_path: Path) -> None:
    (ignored,) = floor_outcomes(recording(tmp_path, (1.0, 1.6), kind="backchannel"), plan("mhm", ("mhm",)))
    assert (ignored.stopped, ignored.right, ignored.heard) == (False, True, "mhm")
    (counted,) = floor_outcomes(recording(tmp_path, (1.0, 1.6), kind="backchannel"), plan("wait", ("mhm",)))
    assert (counted.stopped, counted.right) == (True, False)


def test_each_interruption_has_an_agent_that_talks(tmp_path: Path) -> None:
    both = list(floor_outcomes(recording(tmp_path, (0.5, 1.1), (2.0, 2.6)), plan()))
    assert [one.silent_ms for one in both] == [60, 60]
    assert [one.interruption.begins for one in both] == [0.5, 2.0]


def test_the_caller_may_be_one_channel_of_several(tmp_path: Path) -> None:
    two = recording(tmp_path, (1.0, 1.6), channels=2, labels={"channel": 1})
    (mine,) = floor_outcomes(two, plan())
    (other,) = floor_outcomes(Labelled(two.path, two.labels.model_copy(update={"channel": 0})), plan())
    assert (mine.stopped, other.stopped) == (True, False)
    with pytest.raises(InputError, match=r"a\.wav: has no channel 2"):
        list(floor_outcomes(Labelled(two.path, two.labels.model_copy(update={"channel": 2})), plan()))


def test_the_pipeline_s_own_words_and_limits_are_left_out(tmp_path: Path) -> None:
    one = recording(tmp_path, (1.0, 1.6))
    greets = plan(greeting={"text": "Hello.", "interruptible": False}, session="1s")
    assert [outcome.silent_ms for outcome in floor_outcomes(one, greets)] == [60]
    deaf = scripted_plan(without=("tts", "speaker", "chunker"))
    with pytest.raises(UsageError, match="has no chunker and no speaker and no tts"):
        talking_plan(deaf, b"", 1.0)


def test_the_figures(tmp_path: Path) -> None:
    def outcome(kind: Wish, silent_ms: int | None, paused_ms: int = 0) -> FloorOutcome:
        return FloorOutcome("a.wav", Interruption(begins=1, ends=2, kind=kind), silent_ms, paused_ms, "so")

    take, back = Wish.TAKE_OVER, Wish.BACKCHANNEL
    result = FloorResult(
        (outcome(take, 100), outcome(take, None), outcome(take, 300), outcome(back, None, 400), outcome(back, 80))
    )
    told = result.to_json()
    assert len(told.pop("interruptions")) == 5
    assert told == {
        "take_overs": 3, "missed_interruption": 1, "silent_ms_p50": 200,
        "backchannels": 2, "false_interruption": 1, "paused_ms_p50": 400,
    }  # fmt: skip
    assert list(result.lines()) == [
        "the floor: 3 take-overs, 2 backchannels",
        "  missed_interruption 1 of 3, silent after 200 ms (median)",
        "  false_interruption 1 of 2, else paused for 400 ms (median)",
        "    right take_over    a.wav at 1.00 s: silent after 100 ms: 'so'",
        "    WRONG take_over    a.wav at 1.00 s: went on, paused for 0 ms: 'so'",
        "    right take_over    a.wav at 1.00 s: silent after 300 ms: 'so'",
        "    right backchannel  a.wav at 1.00 s: went on, paused for 400 ms: 'so'",
        "    WRONG backchannel  a.wav at 1.00 s: silent after 80 ms: 'so'",
    ]
    none = FloorResult((outcome(take, None),)).to_json()
    assert (none["silent_ms_p50"], none["paused_ms_p50"]) == (None, None)


@pytest.mark.parametrize(
    ("interruptions", "fault"),
    [
        ([{"begins": 1, "ends": 2, "kind": "laugh"}], "interruptions.0.kind"),
        ([{"begins": 2, "ends": 2, "kind": "backchannel"}], "ends must come after begins"),
        (
            [{"begins": 1, "ends": 3, "kind": "take_over"}, {"begins": 2, "ends": 4, "kind": "take_over"}],
            "each must begin",
        ),
        ([], "turns or interruptions are needed"),
    ],
)
def test_wrong_labels_say_what_is_wrong(interruptions: list[Any], fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        checked({"interruptions": interruptions}, "a.json")


def test_a_trace_says_what_its_agent_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "barge-in.jsonl"
    shutil.copy(TRACES / "barge-in.jsonl", trace)
    (told,) = (line.figures for line in lines_of(read_trace(TRACES / "barge-in.jsonl")) if "yield_ms" in line.figures)
    begins = told["interrupted_ms"] / 1000
    said = [
        {"begins": 1, "ends": 1.5, "kind": "backchannel"},
        {"begins": begins, "ends": begins + 0.8, "kind": "take_over"},
    ]
    Path(f"{trace}.labels.json").write_text(json.dumps({"interruptions": said}))
    assert main(["bench", "turns", str(trace), "--format", "json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    floor = found["floor"]
    assert (found["in_use"]["turns"], floor["missed_interruption"], floor["false_interruption"]) == (0, 0, 0)
    assert floor["silent_ms_p50"] == pytest.approx(told["yield_ms"], abs=20)
    assert main(["bench", "turns", str(trace), "--plot", str(tmp_path / "a.svg")]) == 2
    assert "no labelled turns" in capsys.readouterr().err
