"""Exact replay: identical where the code is the same, and the first difference where it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config import load
from flowkit.messages import (
    Audio,
    Clause,
    ClauseStarted,
    Credit,
    Frames,
    Interrupt,
    Message,
    Probability,
    Timer,
    Token,
    Utterance,
)
from flowkit.plan import Plan, resolve
from flowkit.plan.show import show
from flowkit.replay.check import exactly
from flowkit.replay.difference import Diverged
from flowkit.replay.exact import Fold
from flowkit.replay.settings import recorded_plan
from flowkit.replay.stretches import StretchFold
from flowkit.stages.base import NEVER, Action, Actions, Emit, Finish, RaiseEpoch, SetTimer
from flowkit.stages.chunking import Chunking, ChunkingState
from flowkit.trace.codec import Encoder
from flowkit.trace.reader import Trace, read_trace
from flowkit.trace.rows import RowTuple
from flowkit.trace.stretch import Stretch, decode, rows_of
from tests.trace.recording import record
from tests.trace.sessions import pipeline

SESSIONS = {
    "barge_in": pipeline(),
    "narrow": pipeline(tts="queue: {max: 1}"),
    "dropping": pipeline(chunker="queue: {max: 2, when_full: drop_oldest}"),
    "thinking": pipeline("{at: 280ms, lasts: 820ms}, {at: 1600ms, lasts: 900ms}", llm="first_token: 900ms"),
    "failing": pipeline(tts="fail: true"),
    "withdrawn": pipeline("{at: 280ms, lasts: 820ms}, {at: 2780ms, lasts: 80ms}"),
}


def recorded(folder: Path, text: str) -> Trace:
    config = load("test.yaml", text=text)
    plan = resolve(config)
    return read_trace(record(folder / "a.jsonl", plan, config=show(config, plan)).recording.path)


@pytest.fixture(scope="module", params=SESSIONS)
def trace(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trace:
    return recorded(tmp_path_factory.mktemp("trace"), SESSIONS[request.param])


@pytest.mark.parametrize("frame_by_frame", [False, True])
def test_the_journal_comes_out_identical(trace: Trace, frame_by_frame: bool) -> None:
    result = exactly(trace, frame_by_frame=frame_by_frame)
    assert result.difference is None
    assert result.same
    assert trace.end is not None
    assert result.report.digest == trace.end.digest
    assert result.report.messages == trace.end.rows


def test_figures_do_not_depend_on_run_lengths(trace: Trace) -> None:
    runs, frames = exactly(trace).report, exactly(trace, frame_by_frame=True).report
    assert replace(runs, wall_us=0) == replace(frames, wall_us=0)


def test_calls_are_known_with_their_requests(trace: Trace) -> None:
    fold = StretchFold(recorded_plan(trace))
    fold.take(trace.items())
    asked = [type(call.request).__name__ for call in fold.calls]
    assert asked[:4] == ["Capture", "Detect", "Transcribe", "Render"]
    assert asked.count("Ask") == 2


class Shouting(Chunking):
    """A chunker whose next version writes the second clause in capitals."""

    def step(self, state: ChunkingState, message: Message, now_us: int) -> Actions:
        return [self._shouted(action) for action in super().step(state, message, now_us)]  # type: ignore[misc]

    @staticmethod
    def _shouted(action: object) -> object:
        if isinstance(action, Emit) and isinstance(action.message, Clause) and action.message.index == 1:
            return Emit(action.port, replace(action.message, text=action.message.text.upper()))
        return action


def test_changed_code_shows_at_its_first_different_message(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan = recorded_plan(trace)
    stages = tuple(replace(stage, cls=Shouting) if stage.kind == "chunker" else stage for stage in plan.stages)
    with pytest.raises(Diverged) as caught:
        StretchFold(replace(plan, stages=stages)).take(trace.items())
    found = caught.value.difference
    assert found.stage == "tts"
    assert found.recorded is not None
    assert isinstance(found.now, Clause)
    assert found.now.text == found.recorded[9].text.upper()  # type: ignore[attr-defined]


def test_a_tolerant_fold_goes_on_and_keeps_the_first(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan = recorded_plan(trace)
    stages = tuple(replace(stage, cls=Shouting) if stage.kind == "chunker" else stage for stage in plan.stages)
    strict, tolerant = StretchFold(plan), Fold(replace(plan, stages=stages), tolerant=True)
    strict.take(trace.items())
    for row in trace.rows():
        tolerant.row(row)
    assert tolerant.first is not None
    assert [call.request for call in tolerant.calls] == [call.request for call in strict.calls]


def test_a_changed_row_is_a_difference_with_its_causes(tmp_path: Path) -> None:
    trace = recorded(tmp_path, pipeline())
    chunks = tuple(chunk._replace(text=chunk.text.replace('"sentence"', '"comma"')) for chunk in trace.chunks)
    result = exactly(replace(trace, chunks=chunks))
    assert not result.same
    assert result.difference is not None
    assert result.difference.recorded is not None
    assert result.causes_now


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_stretches_differ_where_rows_do(trace: Trace, data: st.DataObject) -> None:
    _assert_differ_alike(trace, data)


@pytest.mark.parametrize("name", ["conversation", "barge-in", "long-answer"])
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_stretches_differ_where_rows_do_in_live_sessions_too(name: str, data: st.DataObject) -> None:
    """There a deadline's row comes a little after it, and rows are never quite in time."""
    _assert_differ_alike(_kept(name), data)


@cache
def _kept(name: str) -> Trace:
    return read_trace(Path(__file__).resolve().parents[2] / "traces" / f"{name}.jsonl")


def _assert_differ_alike(trace: Trace, data: st.DataObject) -> None:
    rows = [_Row(row, (row[0], row[1])) for row in trace.rows()]
    # Half of all places among the voice's rows, which are few, or those that another row caused.
    few = [place for place, (row, _) in enumerate(rows) if row[0] in ("tts", "speaker") or row[2] not in ("", "mic")]
    place = data.draw(st.sampled_from(few) | st.integers(0, len(rows) - 1))
    what = data.draw(st.sampled_from(["swapped", "moved", "passed on", *_CHANGES]))
    row, known = rows.pop(place)
    match what:
        case "swapped":
            rows.insert(place + 1, _Row(row, known))
        case "moved":
            by = data.draw(st.sampled_from([-40, -10, -3, -2, 2, 3, 10]))
            to = min(max(place + by, 0), len(rows) - 1)
            rows.insert(to, _Row((*row[:5], rows[to].row[5], *row[6:]), known))
        case "passed on":
            # By a stage to itself, which none can.
            own = (row[0], 0, "", 0, row[5], row[5], "C", row[7], row[8], Credit(1), "")
            back = (row[0], 0, row[0], 0, row[5], row[5], "C", row[7], row[8], Credit(1), "")
            rows[place:place] = [_Row(row, known), _Row(own, None), _Row(back, None)]
        case _:
            rows[place:place] = [_Row(changed, known) for changed in _changed(row, what, data)]
    _alike(recorded_plan(trace), trace, rows)


def _differs_by_rows(plan: Plan, stretches: list[Stretch]) -> bool:
    fold = Fold(plan)
    return _differs(lambda: ([fold.row(row) for row in rows_of(stretches)], fold.end(fold.now_us)))


def _differs_by_stretches(plan: Plan, stretches: list[Stretch]) -> bool:
    fold = StretchFold(plan)
    return _differs(lambda: (fold.take(stretches), fold.end(fold.now_us)))


_OTHER: dict[type[Message], dict[str, Any]] = {Audio: {"samples": 7}, Token: {"text": "other"}}
_SENSED = (Frames, Probability, Credit)


@pytest.mark.parametrize("still", [False, True])
@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("speaker", Timer),
        ("speaker", Audio),
        ("tts", Audio),
        ("tts", Clause),
        ("chunker", Token),
        ("llm", Token),
        ("llm", Utterance),
    ],
)
def test_what_is_lost_other_or_late_on_a_reply_s_way_is_seen_by_stretches_too(
    tmp_path: Path, stage: str, kind: type[Message], still: bool
) -> None:
    """While nobody listens, no frame comes between a deadline and what should have come behind it."""
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan, rows = recorded_plan(trace), [_Row(row, (row[0], row[1])) for row in trace.rows()]
    if still:
        begin = next(place for place, (row, _) in enumerate(rows) if type(row[9]) is Token)
        ears = ("mic", "vad", "asr")
        replied = [row for row in rows[begin:] if row.row[0] not in ears or type(row.row[9]) not in _SENSED]
        rows = [*rows[:begin], *replied]
    assert _alike(plan, trace, rows) is False
    places = [place for place, (row, _) in enumerate(rows) if (row[0], type(row[9])) == (stage, kind)]
    differed = 0
    for place in places[:: max(1, len(places) // 8)]:
        row, known = rows[place]
        for changed in ([], [_Row((*row[:4], row[4] - 1, *row[5:]), known)]):
            differed += _alike(plan, trace, [*rows[:place], *changed, *rows[place + 1 :]])
        if kind in _OTHER:
            other = _Row((*row[:9], replace(row[9], **_OTHER[kind]), row[10]), known)
            differed += _alike(plan, trace, [*rows[:place], other, *rows[place + 1 :]])
        # And what comes to a stage, a moment after all else in its instant.
        instant = [other for other in rows if other.row[5] == row[5]]
        late = [_Row((*of[:5], of[5] + 1, *of[6:]), name) for of, name in instant if of[0] == stage]
        before = [other for other in rows if other.row[5] < row[5] or (other in instant and other.row[0] != stage)]
        differed += _alike(plan, trace, [*before, *late, *(other for other in rows if other.row[5] > row[5])])
    assert differed >= min(5, len(places))


@pytest.mark.parametrize("behind", [None, Token, Audio, ClauseStarted])
def test_a_credit_of_an_epoch_that_its_stage_has_not_come_to_is_seen_by_stretches_too(
    tmp_path: Path, behind: type[Message] | None
) -> None:
    """It may stand alone, or among what else goes through a relay."""
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    rows = [_Row(row, (row[0], row[1])) for row in trace.rows()]
    # The LLM is asked, which brings it to the reply's epoch; nothing has come to the speaker yet.
    asked = next(place for place, (row, _) in enumerate(rows) if type(row[9]) is Utterance and row[0] == "llm")
    begun = next(place for place, (row, _) in enumerate(rows) if row[0] == "speaker" and row[7] == rows[asked].row[7])
    place = asked + 1
    if behind is ClauseStarted:
        place = begun  # before it, in one passage with it
    elif behind is not None:
        place = next(n for n, (row, _) in enumerate(rows) if n > asked and type(row[9]) is behind) + 1
    assert asked < place <= begun or behind is Audio
    _, _, _, _, _, now_us, _, epoch, turn, _, _ = rows[place - 1].row
    credit = _Row(("speaker", 0, "", 0, now_us, now_us, "C", epoch, turn, Credit(1), ""), None)
    assert _alike(recorded_plan(trace), trace, [*rows[:place], credit, *rows[place:]]) is (place <= begun)


@pytest.mark.parametrize("kind", [Timer, Audio])
def test_what_differs_where_time_runs_backwards_is_seen_by_stretches_too(tmp_path: Path, kind: type[Message]) -> None:
    differed = 0
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan, rows = recorded_plan(trace), trace.rows()
    places = [place for place, row in enumerate(rows) if row[0] == "speaker" and type(row[9]) is kind]
    for place in places[2 :: max(1, len(places) // 12)]:
        for by_us in (-400_000, -30_000, 60_000, 1_000_000):
            row = rows[place]
            back = (*row[:5], row[5] + by_us, *row[6:])
            by_rows, by_stretches = _judged(plan, trace, [*rows[:place], back, *rows[place + 1 :]])
            assert by_stretches >= by_rows
            differed += by_rows
    assert differed


def test_a_stretch_that_begins_before_the_one_before_it_ended_is_folded_row_by_row(trace: Trace) -> None:
    """Then the latest time counts, and what was handled when is not to be looked up."""
    plan, stretches = recorded_plan(trace), [item for item in trace.items() if isinstance(item, Stretch)]
    for late_us, quickly in ((0, True), (1, False)):
        fold, rows = StretchFold(plan), list[RowTuple]()
        fold.row = lambda row, rows=rows, fold=fold: rows.append(row) or Fold.row(fold, row)  # type: ignore[method-assign, misc]
        for place, stretch in enumerate(stretches[:2]):
            if place:
                fold._timers.now_us = stretch.begin_us + late_us
                rows.clear()
            fold.take([stretch])
        assert (rows == []) is quickly


def test_a_deadline_that_stands_behind_later_frames_is_seen_by_stretches_too(tmp_path: Path) -> None:
    """Its time alone does not tell: all frames are in order, and all that is not quiet."""
    trace = recorded(tmp_path, pipeline("{at: 280ms, lasts: 820ms}"))
    plan, rows, differed = recorded_plan(trace), trace.rows(), 0
    for place in [place for place, row in enumerate(rows) if row[0] == "speaker" and type(row[9]) is Timer]:
        at_us = rows[place][5]
        soon = [
            n for n, row in enumerate(rows) if at_us < row[5] < at_us + 60_000 and type(row[9]) in (Frames, Probability)
        ]
        rest = [row for n, row in enumerate(rows) if n > place and n not in soon]
        by_rows, by_stretches = _judged(plan, trace, [*rows[:place], *(rows[n] for n in soon), rows[place], *rest])
        assert by_stretches >= by_rows
        differed += by_rows
    assert differed


def test_a_wake_up_that_nobody_wished_is_seen_though_nothing_follows_it(trace: Trace) -> None:
    """The last step of a passage is folded no less than those before it."""
    rows, plan = [_Row(row, (row[0], row[1])) for row in trace.rows()], recorded_plan(trace)
    places = {known: place for place, (_, known) in enumerate(rows)}
    ends = {
        (relayed.steps[-1][1], places[_TAKER[relayed.kind], relayed.ns[-1]])
        for stretch in trace.items()
        if isinstance(stretch, Stretch)
        for relayed in stretch.passages()
        if relayed.steps
    }
    for message, place in sorted(ends, key=lambda end: end[1])[:: max(1, len(ends) // 12)]:
        row, tag = rows[place].row, "flush_after" if rows[place].row[0] == "chunker" else "next"
        for due_us in (row[5], NEVER):
            more = _Row((row[0], 0, "", 0, due_us, row[5], "C", row[7], row[8], Timer(tag), ""), None)
            assert _alike(plan, trace, [*rows[: place + 1], more, *rows[place + 1 :]]), message


_TAKER: dict[type[Message], str] = {Token: "chunker", Audio: "speaker"}


def _alike(plan: Plan, trace: Trace, rows: list[_Row]) -> bool:
    """Whether the code differs from these rows; by stretches it must where it does by rows."""
    by_rows, by_stretches = _judged(plan, trace, _numbered(rows))
    assert by_stretches == by_rows
    return by_rows


def _judged(plan: Plan, trace: Trace, rows: list[RowTuple]) -> tuple[bool, bool]:
    """Whether the code differs from these rows, by rows and by stretches."""
    chunks = [*(encoder := Encoder(trace.layout)).add(rows), *encoder.finish()]
    stretches = [stretch for chunk in chunks for stretch in decode(chunk.text, trace.layout)]
    return _differs_by_rows(plan, stretches), _differs_by_stretches(plan, stretches)


@pytest.mark.parametrize("name", ["conversation", "barge-in"])
def test_an_effect_that_stands_before_its_cause_is_seen_by_stretches_too(name: str) -> None:
    """A fold over stretches hears the probabilities first, and so has the cause before it comes to the effect."""
    trace = _kept(name)
    rows = [_Row(row, (row[0], row[1])) for row in trace.rows()]
    plan, causes = recorded_plan(trace), {known: place for place, (_, known) in enumerate(rows)}
    heard = [place for place, (row, _) in enumerate(rows) if row[2] == "vad"]
    assert heard
    for place in heard:
        row, known = rows[place]
        cause = causes[row[2], row[3]]
        early = _Row((*row[:5], rows[cause].row[5], *row[6:]), known)
        changed = [*rows[:cause], early, *rows[cause:place], *rows[place + 1 :]]
        encoder = Encoder(trace.layout)
        chunks = [*encoder.add(_numbered(changed)), *encoder.finish()]
        stretches = [stretch for chunk in chunks for stretch in decode(chunk.text, trace.layout)]
        assert _differs_by_rows(plan, stretches)
        assert _differs_by_stretches(plan, stretches)


_MORE: dict[str, Callable[[int], Action]] = {
    "epoch": lambda now_us: RaiseEpoch(7),
    "deadline": lambda now_us: SetTimer(now_us + 30_000, "patience"),
    "late deadline": lambda now_us: SetTimer(now_us - 30_000, "patience"),
    "no deadline": lambda now_us: SetTimer(None, "next"),
    "finish": lambda now_us: Finish("closed"),
}


@pytest.mark.parametrize("name", ["conversation", "barge-in", "busy"])
@settings(max_examples=30, deadline=None)
@given(data=st.data(), what=st.sampled_from(sorted(_MORE)), again=st.booleans())
def test_what_a_stage_asks_for_at_one_message_differs_by_stretches_where_it_does_by_rows(
    name: str, data: st.DataObject, what: str, again: bool
) -> None:
    """Code that was changed: at one message it asks for more, such as a deadline that an interrupt takes back."""
    trace = _kept(name)
    plan, stretches = recorded_plan(trace), list(trace.items())
    kind = data.draw(st.sampled_from(["gate", "llm", "chunker", "tts", "speaker"]))
    changed: Any = plan.stage(kind)
    at = [(type(row[9]), row[5]) for row in trace.rows() if row[0] == changed.id and not row[10]]
    key = data.draw(st.sampled_from(at[-3:]) | st.sampled_from(at))
    cls: Any = changed.cls

    class Asking(cls):  # type: ignore[misc]
        def step(self, state: Any, message: Message, now_us: int) -> Actions:
            actions = super().step(state, message, now_us)
            more = [_MORE[what](now_us)] if (type(message), now_us) == key else []
            return [*actions, *more, *(actions if again and more else ())]

    stages = tuple(replace(stage, cls=Asking) if stage is changed else stage for stage in plan.stages)
    plan = replace(plan, stages=stages)
    assert _differs_by_rows(plan, stretches) == _differs_by_stretches(plan, stretches)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["conversation", "long-answer", "barge-in"])
def test_passages_and_the_rows_apart_are_the_rows_that_are_not_quiet(name: str) -> None:
    passed = 0
    for stretch in _kept(name).items():
        assert isinstance(stretch, Stretch)
        of_span = {row[:2]: place for place, row in enumerate(stretch.rows())}
        apart, known = [of_span.pop(row[:2]) for row in stretch.apart()], stretch.rows()
        begins = []
        for passage in stretch.passages():
            rows = passage.rows()
            carrier, taker = ("tts", "speaker") if passage.kind is Audio else ("llm", "chunker")
            came = [row for row in rows if row[0] == carrier]
            assert [(row[1], row[5], row[7], row[8], row[9]) for row in came] == passage.sent
            assert [row[4] for row in came] == passage.available_us
            taken = [row for row in rows if row[0] == taker and type(row[9]) is not Credit]
            assert [(row[5], row[9], row[4]) for row in taken] == passage.steps
            assert [row[1] for row in taken] == passage.ns
            credits = [row for row in rows if row[0] == taker and type(row[9]) is Credit]
            assert [row[5] for row in credits] == passage.credits
            assert [(row[3], row[4], row[7], row[8], row[9]) for row in taken if row[2]] == passage.taken
            places = [of_span.pop(row[:2]) for row in rows]
            assert len(places) == len(came) + len(taken) + len(credits)
            assert places == sorted(places)
            assert [known[place] for place in places] == rows
            assert passage.before == sum(place < places[0] for place in apart)
            between = [known[place] for place in apart if places[0] < place < places[-1]]
            assert not {row[0] for row in between} & {carrier, taker}
            begins.append(places[0])
            passed += len(rows)
        assert begins == sorted(begins)
        assert {type(known[place][9]) for place in of_span.values()} <= {Frames, Probability, Credit}
    assert passed > 100


@pytest.mark.parametrize("patience_us", [5_000, 40_000, 100_000])
@pytest.mark.parametrize("kind", ["gate", "llm", "chunker", "tts", "speaker"])
def test_a_deadline_that_is_taken_back_too_late_is_seen_by_stretches_too(
    trace: Trace, kind: str, patience_us: int
) -> None:
    plan = recorded_plan(trace)
    cls: Any = plan.stage(kind).cls
    waiting = [False]

    class Impatient(cls):  # type: ignore[misc]
        def step(self, state: Any, message: Message, now_us: int) -> Actions:
            waiting[0] = not waiting[0]
            at_us = now_us + patience_us if waiting[0] else None
            return [*super().step(state, message, now_us), SetTimer(at_us, "patience")]

    stages = tuple(replace(stage, cls=Impatient) if stage.kind == kind else stage for stage in plan.stages)
    plan = replace(plan, stages=stages)
    at_once, one_by_one = StretchFold(plan), Fold(plan)
    by_stretches = _differs(lambda: at_once.take(trace.items()))
    waiting[0] = False
    assert by_stretches == _differs(lambda: [one_by_one.row(row) for row in trace.rows()])


_CHANGES = ("lost", "twice", "later", "sooner", "sent", "epoch", "turn", "cause", "fate", "message")


def _changed(row: RowTuple, what: str, data: st.DataObject) -> list[RowTuple]:
    stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, fate = row
    match what:
        case "lost":
            return []
        case "twice":
            return [row, row]
        case "later":
            return [(stage, n, cause, cause_n, sent_us, now_us + 1, lane, epoch, turn, message, fate)]
        case "sooner":
            return [(stage, n, cause, cause_n, sent_us, now_us - 1, lane, epoch, turn, message, fate)]
        case "sent":
            return [(stage, n, cause, cause_n, sent_us - 1, now_us, lane, epoch, turn, message, fate)]
        case "epoch":
            return [(stage, n, cause, cause_n, sent_us, now_us, lane, epoch + 1, turn, message, fate)]
        case "turn":
            return [(stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn + 1, message, fate)]
        case "cause" if cause:
            return [(stage, n, cause, cause_n - 1, sent_us, now_us, lane, epoch, turn, message, fate)]
        case "fate":
            return [(stage, n, cause, cause_n, sent_us, now_us, lane, epoch, turn, message, "" if fate else "stale")]
    other = data.draw(
        st.sampled_from([Token(0, "other"), Timer("next"), Credit(3), Probability(9, 0.99), Frames(9, 1), Interrupt()])
    )
    return [(stage, n, cause, cause_n, sent_us, now_us, other.lane, epoch, turn, other, fate)]


class _Row(NamedTuple):
    """A row, and by which stage and number others name it; None if they do not."""

    row: RowTuple
    known: tuple[str, int] | None


def _numbered(rows: list[_Row]) -> list[RowTuple]:
    """In time, and numbered anew by stage, and so are causes."""
    counts, numbers = dict[str, int](), dict[tuple[str, int], int]()
    for row, known in rows:
        counts[row[0]] = counts.get(row[0], 0) + 1
        if known is not None:
            numbers.setdefault(known, counts[row[0]])
    numbered, counts, now_us = list[RowTuple](), {}, 0
    for row, _ in rows:
        n = counts[row[0]] = counts.get(row[0], 0) + 1
        now_us = max(now_us, row[5])
        # A cause without a name is the row before.
        cause_n = numbers.get((row[2], row[3]), row[3] or n - 1) if row[2] else 0
        numbered.append((row[0], n, row[2], cause_n, row[4], now_us, *row[6:]))
    return numbered


def _differs(fold: Callable[[], object]) -> bool:
    try:
        fold()
    except Diverged:
        return True
    return False


def test_a_killed_session_replays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = recorded(tmp_path, pipeline()).path
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[len(lines) // 2][:100])
    trace = read_trace(path)
    assert len(trace.notices) == 2
    for frame_by_frame in (False, True):
        assert exactly(trace, frame_by_frame=frame_by_frame).same
