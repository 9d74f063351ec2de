"""Money against amounts computed by hand: what is counted, what is told, what was in vain."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from flowkit.config.tests import Assertion
from flowkit.engine import Row
from flowkit.figures.cost import Cost, Listened, StageCost, money, used_by
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import Figures, measure
from flowkit.figures.records import CallRecord
from flowkit.figures.report import Report
from flowkit.history import size_of
from flowkit.messages import Ask, Audio, Done, Speak, Token, Usage
from flowkit.report.budgets import judge, over
from flowkit.report.plain import summary
from flowkit.runtime.gauges import Gauges
from flowkit.serve.metrics import Metrics
from flowkit.testing.suite.words import broken
from flowkit.trace.schema import layout as stored_layout
from tests.trace.sessions import PARIS, Session, pipeline, run

PRICED = {
    "llm": "price: {input: 2, cached: 0.5, output: 10}",
    "tts": "price: {characters: 30}",
    "asr": "price: {hour: 0.36}",
}
ASKED = pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",), **PRICED)


def report(session: Session, rows: list[Row] | None = None) -> Report:
    return measure(session.rows if rows is None else rows, plan=session.plan, voiced=session.reference)


def cost(session: Session, rows: list[Row] | None = None) -> Cost:
    found = report(session, rows).cost
    assert found is not None
    return found


def told(session: Session, used: Usage, *, before: type = Done) -> list[Row]:
    """The rows with what the LLM's provider tells before a row of its first call."""
    at = next(n for n, row in enumerate(session.rows) if row.stage == "llm" and isinstance(row.message, before))
    return [*session.rows[:at], session.rows[at]._replace(message=used), *session.rows[at:]]


def test_without_a_price_there_is_no_cost() -> None:
    found = report(run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris.",))))
    assert (found.cost, found.turns[0].cost) == (None, None)
    assert "cost" not in found.to_json()


def test_what_no_provider_tells_is_counted_and_called_an_estimate() -> None:
    session = run(ASKED)
    asked = next(row.message for row in session.rows if isinstance(row.message, Ask))
    tokens = sum(isinstance(row.message, Token) for row in session.rows if row.stage == "llm")
    spoken = sum(len(row.message.text) for row in session.rows if isinstance(row.message, Speak))
    stages = cost(session).stages
    assert stages["llm"].amount == pytest.approx((2 * size_of(asked) + 10 * tokens) / 1e6)
    assert stages["tts"].amount == pytest.approx(30 * spoken / 1e6)
    heard_s = report(session).audio_us / 1e6
    assert stages["asr"].amount == pytest.approx(0.36 * heard_s / 3600)
    assert all(stage.used.estimated for stage in stages.values())


def test_what_a_provider_tells_takes_the_place_of_the_count() -> None:
    session = run(ASKED)
    used = Usage(input_tokens=1000, cached_tokens=400, output_tokens=50)
    llm = cost(session, told(session, used)).stages["llm"]
    assert llm.amount == pytest.approx((600 * 2 + 400 * 0.5 + 50 * 10) / 1e6)
    assert llm.used == used


def test_tokens_that_came_after_the_last_word_about_them_are_counted_where_a_reply_broke_off() -> None:
    slow = {**PRICED, "llm": f"{PRICED['llm']}, per_token: 200ms"}
    session = run(pipeline("{at: 280ms, lasts: 820ms}, {at: 2s, lasts: 700ms}", replies=(PARIS, "Well."), **slow))
    first = next(row for row in session.rows if row.stage == "llm" and isinstance(row.message, Token))
    rows = told(session, Usage(input_tokens=100, estimated=True), before=Token)
    done = [row for row in session.rows if row.call == first.call and isinstance(row.message, Done)]
    tokens = sum(
        row.call == first.call and isinstance(row.message, Token) and row.stage == "llm" for row in session.rows
    )
    assert not done, "the reply was not interrupted"
    turn = report(session, rows).turns[0]
    assert turn.cost is not None
    assert turn.cost.stages["llm"].used.output_tokens == tokens


def test_a_failed_attempt_is_a_retry_and_keeps_its_own_tokens() -> None:
    session = run(ASKED)
    rows = told(session, Usage(input_tokens=100, estimated=True, attempt=1), before=Token)
    end = next(n for n, row in enumerate(rows) if row.stage == "llm" and isinstance(row.message, Done))
    second = Usage(input_tokens=110, output_tokens=7, attempt=2)
    rows.insert(end, rows[end]._replace(message=second))
    llm = cost(session, rows).stages["llm"]
    tokens = sum(isinstance(row.message, Token) for row in session.rows if row.stage == "llm")
    assert llm.retries == pytest.approx((100 * 2 + tokens * 10) / 1e6)
    assert llm.amount == pytest.approx(llm.retries + (110 * 2 + 7 * 10) / 1e6)


def test_each_provider_of_a_failover_list_has_its_own_price() -> None:
    session = run(
        ASKED.replace("price: {input: 2", "failover: [{provider: canned, price: {output: 1}}], price: {input: 2")
    )
    assert [price.place for price in layout_of(session.plan).prices if price.stage == "llm"] == [0, 1]
    rows = told(session, Usage(input_tokens=1000, output_tokens=50, place=1))
    assert cost(session, rows).stages["llm"].amount == pytest.approx(50 / 1e6)


def stage_cost(stage: str, price: str, *used: Usage) -> StageCost:
    """What a stage costs at a price, where its provider tells this of its first call."""
    session = run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",), **{stage: f"price: {price}"}))
    end = next(n for n, row in enumerate(session.rows) if row.stage == stage and row.call)
    rows = [
        *session.rows[: end + 1],
        *(session.rows[end]._replace(message=one) for one in used),
        *session.rows[end + 1 :],
    ]
    return cost(session, rows).stages[stage]


@pytest.mark.parametrize(
    ("stage", "price", "used", "amount"),
    [
        ("asr", "{hour: 0.36}", Usage(audio_us=90_000_000), 0.36 * 90 / 3600),
        ("asr", "{minute: 0.006}", Usage(audio_us=90_000_000), 0.006 * 1.5),
        ("asr", "{input: 2.5, output: 10}", Usage(input_tokens=400, output_tokens=50), (400 * 2.5 + 50 * 10) / 1e6),
        ("llm", "{input: 2, output: 10}", Usage(input_tokens=400, output_tokens=50), (400 * 2 + 50 * 10) / 1e6),
        ("llm", "{input: 0.002, output: 0.01, per: 1000}", Usage(input_tokens=400, output_tokens=50), 0.0013),
        ("tts", "{input: 0.6, output: 12}", Usage(input_tokens=9, output_tokens=60), (9 * 0.6 + 60 * 12) / 1e6),
        ("tts", "{characters: 30}", Usage(characters=100), 0.003),
        ("tts", "{characters: 0.03, per: 1000}", Usage(characters=100), 0.003),
        ("tts", "{minute: 0.015}", Usage(audio_us=30_000_000), 0.0075),
    ],
)
def test_every_unit_that_providers_are_paid_by(stage: str, price: str, used: Usage, amount: float) -> None:
    # A pipeline of few clauses, whose other calls have used what is counted: nothing that has this price.
    found = stage_cost(stage, price, used)
    others = stage_cost(stage, price).amount if stage == "tts" and ("char" in price or "minute" in price) else 0
    assert amount <= found.amount * (1 + 1e-9)
    assert found.amount <= amount + others + 1e-12


def test_the_length_of_speech_is_counted_where_no_provider_tells_it() -> None:
    session = run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris. That is it.",), tts="price: {hour: 3.6}"))
    heard = [row.message for row in session.rows if row.stage == "tts" and isinstance(row.message, Audio)]
    seconds = sum(audio.samples / audio.rate_hz for audio in heard)
    assert seconds > 0.5
    assert cost(session).stages["tts"].amount == pytest.approx(seconds / 1000)


def test_speech_of_an_attempt_that_failed_is_its_own() -> None:
    call = CallRecord("tts", Speak(0, "Hello."), 0)
    call.used(Usage(characters=6, attempt=1))
    call.unreported_audio_us += 300_000
    call.used(Usage(characters=6, attempt=2))
    call.unreported_audio_us += 500_000
    assert [used.audio_us for used in used_by(call)] == [300_000, 500_000]


def test_clauses_that_were_spoken_ahead_in_vain_are_told_apart() -> None:
    text = pipeline("{at: 280ms, lasts: 820ms}", replies=("X",), chunker="speculate_end: true", **PRICED)
    tokens = "[See, ' example', ., com, ' for', ' more', ., ' Good', ' bye']"
    session = run(text.replace("{text: 'X'}", f"{{text: '', tokens: {tokens}}}"))
    found = cost(session)
    revoked = report(session).turns[0].revoked_chars
    assert revoked, "nothing was revoked"
    assert found.whole.speculation == pytest.approx(30 * revoked / 1e6)
    assert found.stages["tts"].amount > found.whole.speculation


def test_turns_and_what_was_heard_after_them_add_up_to_the_session() -> None:
    session = run(pipeline("{at: 280ms, lasts: 820ms}, {at: 4s, lasts: 700ms}", replies=("Yes.", "No."), **PRICED))
    found = report(session)
    assert found.cost is not None
    turns = sum(turn.cost.whole.amount for turn in found.turns if turn.cost is not None)
    rest = found.cost.whole.amount - turns
    assert 0 < rest < found.cost.stages["asr"].amount
    assert found.cost.stages["asr"].used.audio_us == found.audio_us


def test_what_it_has_cost_so_far_only_grows_and_ends_as_the_report_says() -> None:
    early = {**PRICED, "llm": f"{PRICED['llm']}, preempt: {{at: 0}}"}
    session = run(pipeline("{at: 280ms, lasts: 820ms}, {at: 2s, lasts: 700ms}", replies=(PARIS, "No."), **early))
    figures, seen = Figures(layout_of(session.plan), session.reference), []
    for row in session.rows:
        figures.rows([row])
        assert figures.cost is not None
        seen.append(figures.cost.whole.amount)
    assert seen == sorted(seen)
    assert len(set(seen)) > 20
    found = figures.report().cost
    assert found == figures.cost
    assert found is not None
    assert found.whole.amount == pytest.approx(seen[-1])
    assert found == cost(session)


def expected(*expect: str) -> list[str]:
    found = report(run(ASKED))
    return [broken(Assertion.model_validate(yaml.safe_load(one)), found) for one in expect]


def test_money_may_be_expected() -> None:
    found = cost(run(ASKED))
    exactly = round(found.whole.amount, 9)
    assert (
        expected(
            f"{{what: cost, equals: {exactly}}}",
            f"{{what: cost, at_most: {exactly}}}",
            "{what: cost.per_minute, at_most: 0.05}",
            "{what: cost.speculation, equals: 0}",
            "{what: cost.retries, absent: true}",
            "{turn: 1, what: cost, at_most: 0.01}",
            "{turn: 1, what: cost.retries, equals: 0}",
        )
        == [""] * 7
    )
    over, minute, turn = expected(
        "{what: cost, at_most: 0.0001}", "{what: cost.per_minute, at_most: 0}", "{turn: 1, what: cost, equals: 0}"
    )
    assert over == f"cost is {exactly:g} USD, more than 0.0001 USD"
    assert minute.startswith("cost.per_minute is 0.0")
    assert turn.startswith("turn 1: cost is 0.0")


def test_money_that_is_expected_where_nothing_has_a_price() -> None:
    found = report(run(pipeline("{at: 280ms, lasts: 820ms}", replies=("Paris.",))))
    lacking = Assertion(what="cost", at_most=0.1)
    assert broken(lacking, found) == "cost is not there: no provider has a price"
    assert broken(Assertion(what="cost", absent=True), found) == ""


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=6), st.integers(0, 5_000_000))
def test_told_seconds_count_once_however_often_they_are_told(steps_us: list[int], heard_us: int) -> None:
    listened, whole, billed = Listened(), 0, 0
    for step_us in steps_us:
        whole += step_us
        listened.used(7, Usage(audio_us=whole))
        billed += sum(used.audio_us for used in listened.since(heard_us))
    assert billed == whole


def test_a_stored_layout_has_the_prices() -> None:
    layout = layout_of(run(ASKED).plan)
    assert layout.currency == "USD"
    assert stored_layout(json.dumps(layout.to_json())) == layout


def budgeted(**bounds: Any) -> list[str]:
    session = run(ASKED + f"budgets: {{cost: {json.dumps(bounds)}}}\n")
    found = report(session)
    return [*map(str, judge(found, session.plan.settings)), *over(found.turns[0], session.plan.settings)]


def test_budgets_of_money_are_judged() -> None:
    assert budgeted(per_minute=0.000001)[0].startswith("budget cost.per_minute: 0.0")
    assert "over the budget" in budgeted(per_minute=0.000001)[0]
    assert "within" in budgeted(per_minute=9)[0]
    verdict, late = budgeted(per_turn=0.000001)
    assert "over the budget" in verdict
    assert late.startswith("cost 0.00")


def test_people_read_it_in_one_line() -> None:
    last = summary(report(run(ASKED)))[-1]
    assert last.startswith("cost: about 0.00")
    assert "llm 0.00" in last
    assert "a minute" in last


@pytest.mark.parametrize(
    ("amount", "text"), [(0.0000042, "0.000004 USD"), (0.0421, "0.0421 USD"), (12.3456, "12.35 USD")]
)
def test_amounts_have_as_many_digits_as_they_need(amount: float, text: str) -> None:
    assert money(amount, "USD") == text


def test_a_monitor_gets_the_sums_of_all_sessions() -> None:
    metrics = Metrics(lambda: Gauges(0, 0, 0, 0, 0, 0, 0, ()), 1)
    found = report(run(ASKED))
    assert found.cost is not None
    for _ in range(2):
        metrics.session_over(found, 0)
    values = {
        (sample.name, *sample.labels.values()): sample.value for each in metrics.families() for sample in each.samples
    }
    assert values["flowkit_cost_total", "tts", "USD"] == pytest.approx(2 * found.cost.stages["tts"].amount)
    assert values["flowkit_usage_total", "llm", "output_tokens"] > 0
