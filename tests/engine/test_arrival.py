"""Voice is measured in frames: how they arrive, in bursts or behind a stall, changes no decision about a turn."""

from collections.abc import Iterator
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from flowkit.engine import Row
from flowkit.messages import Final, Frames, Hold, Interrupt, Message, Resume, SpeechLasted, Utterance
from flowkit.plan.graph import Plan
from flowkit.providers.inline import InlineCall
from flowkit.providers.scripted import ScriptedSource
from flowkit.testing.sessions import heap_session, scripted_plan

LONG = "This is one sentence. Here comes the next one. And a third, which is longer than both of them. " * 2
FRAME_US, FROM, UNTIL = 20_000, 95, 125


def talk(voice_ms: int) -> Plan:
    """The user asks, and is heard again for `voice_ms` at 2 s, into a long reply."""
    return scripted_plan(
        mic={"speech": [{"at": "100ms", "lasts": "300ms"}, {"at": "2s", "lasts": f"{voice_ms}ms"}], "length": "3s"},
        asr={"utterances": ("One.", "Two.") if voice_ms > 100 else ("One.", "")},
        gate={"resume_after": "2s"},
        llm={"replies": ({"text": LONG},)},
        tts={"per_char": "20ms"},
    )


def arriving(plan: Plan, delays: list[int]) -> Plan:
    """The same, where frames from `FROM` on arrive so many frames late, one delay each, and never out of order."""

    class Late(ScriptedSource):
        def open(self, request: Message) -> InlineCall:
            return InlineCall(opened=self._late)

        def _late(self) -> Iterator[tuple[int, Message]]:
            latest = 0
            for at_us, item in self._frames():
                place = item.index - FROM if isinstance(item, Frames) else -1
                late = delays[place] if 0 <= place < len(delays) else 0
                latest = max(latest, at_us + late * FRAME_US)
                yield latest, item

    mic = plan.stages[0]
    assert mic.provider is not None
    return replace(plan, stages=(replace(mic, provider=replace(mic.provider, cls=Late)), *plan.stages[1:]))


def decided(rows: list[Row]) -> list[str]:
    """What the gate decided, and about which words."""
    kinds = (Hold, Interrupt, Resume, Utterance)
    told = [row for row in rows if isinstance(row.message, kinds) and row.stage in ("speaker", "llm")]
    names = [f"{row.stage} {row.message.text if isinstance(row.message, Utterance) else row.kind}" for row in told]
    return sorted(names) + [row.message.text for row in rows if isinstance(row.message, Final) and row.stage == "gate"]


def frames_of(rows: list[Row]) -> list[Message]:
    return [row.message for row in rows if isinstance(row.message, SpeechLasted)]


@given(
    voice_ms=st.integers(1, 25).map(lambda frames: frames * 20),
    delays=st.lists(st.one_of(st.just(0), st.integers(0, 80)), max_size=UNTIL - FROM),
)
def test_however_frames_arrive_the_same_voices_interrupt(voice_ms: int, delays: list[int]) -> None:
    plan = talk(voice_ms)
    steady, late = heap_session(plan).journal.rows, heap_session(arriving(plan, delays)).journal.rows
    assert frames_of(late) == frames_of(steady)
    assert decided(late) == decided(steady)


def test_a_stream_that_stalls_after_the_detection_interrupts_nothing() -> None:
    """The fourth voiced frame and all after it arrive 1.8 s late, and there was no more voice than that."""
    rows = heap_session(arriving(talk(80), [0] * 9 + [90] * 40)).journal.rows
    told = [(row.kind, row.handled_us // 1000) for row in rows if row.stage == "speaker" and row.lane == "C"]
    assert [kind for kind, _ in told if kind in ("Hold", "Interrupt", "Resume")] == ["Hold", "Resume"]
