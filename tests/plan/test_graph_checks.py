"""Wiring, graph checks and lints, on flowkit's own stages and on custom ones."""

from __future__ import annotations

import pytest

from flowkit.config import InvalidConfig
from flowkit.plan import lint, require, resolve
from flowkit.plan.graph import Plan
from tests.config.helpers import BASE, lines, problems, reading

SPOKEN = """\
flowkit: 1
stages:
  - {kind: mic}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: scripted}
  - {kind: gate}
  - {kind: llm, provider: canned}
  - {kind: chunker}
  - {kind: tts, provider: print}
  - {kind: speaker}
"""
FOREIGN = """\
flowkit: 1
stages:
  - {kind: mic}
  - {kind: vad, provider: scripted}
  - {kind: asr, provider: moonshine}
  - {kind: gate}
  - {kind: llm, provider: canned}
  - {kind: chunker}
  - {kind: tts, provider: cartesia, voice: x, api_key: x, language: en}
  - {kind: speaker}
"""


def planned(text: str) -> Plan:
    found = reading(text)
    assert not found.problems, [str(p) for p in found.problems]
    return resolve(found.config)


def edges(plan: Plan, *, control: bool = False) -> set[str]:
    return {f"{e.source}.{e.output}>{e.target}" for e in plan.edges if (e.bound is None) is control}


def test_the_usual_pipeline_is_wired() -> None:
    plan = planned(SPOKEN)
    assert edges(plan) == {
        "mic.audio>vad",
        "mic.end>vad",
        "mic.audio>asr",
        "vad.endpoint>asr",
        "vad.endpoint>gate",
        "asr.transcript>gate",
        "gate.utterance>llm",
        "llm.tokens>chunker",
        "chunker.clauses>tts",
        "tts.audio>speaker",
    }
    assert {"vad.speech>gate", "vad.speech>asr", "speaker.progress>gate", "llm.faults>gate"} <= edges(
        plan, control=True
    )
    assert {f"gate.turn>{s}" for s in ("llm", "chunker", "tts", "speaker")} <= edges(plan, control=True)
    assert not lint(plan)


def test_bounds_come_from_the_receiving_stage() -> None:
    plan = planned(SPOKEN.replace("provider: print", "provider: print, queue: {max: 7, when_full: error}"))
    (edge,) = [e for e in plan.edges if e.target == "tts" and e.bound]
    assert edge.bound is not None
    assert (edge.bound.max, edge.bound.when_full, plan.stage("tts").window) == (7, "error", 7)
    defaults = {e.target: e.bound.max for e in plan.edges if e.bound}
    assert defaults == {"vad": 50, "asr": 50, "gate": 16, "llm": 4, "chunker": 50, "tts": 7, "speaker": 25}


def test_without_a_vad_the_end_of_the_input_goes_to_the_asr() -> None:
    text = SPOKEN.replace("  - {kind: vad, provider: scripted}\n", "").replace(
        "kind: gate", "kind: gate, release: asr_final"
    )
    assert {"mic.end>asr", "asr.transcript>gate"} <= edges(planned(text))


def test_typed_lines_need_no_listening_side() -> None:
    assert edges(planned(BASE)) == {"gate.utterance>llm", "llm.tokens>chunker", "chunker.clauses>tts"}


def test_the_order_of_vad_and_asr_does_not_matter() -> None:
    vad = "  - {kind: vad, provider: scripted}\n"
    asr = "  - {kind: asr, provider: scripted}\n"
    assert edges(planned(SPOKEN.replace(vad + asr, asr + vad))) == edges(planned(SPOKEN))


def test_from_takes_one_or_several() -> None:
    text = SPOKEN.replace("kind: gate", "kind: gate, from: [vad, asr]").replace(
        "kind: chunker", "kind: chunker, from: llm"
    )
    assert edges(planned(text)) == edges(planned(SPOKEN))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            SPOKEN.replace("kind: chunker", "kind: chunker, from: lm"),
            "8:27: stages[5].from: there is no stage 'lm' [FK120]",
        ),
        (
            SPOKEN.replace("kind: gate", "kind: gate, from: [vad, asd]"),
            "6:30: stages[3].from[1]: there is no stage 'asd' [FK120]",
        ),
        (
            SPOKEN.replace("kind: chunker", "kind: chunker, from: gate"),
            "8:27: stages[5].from: 'gate' does not fit: it gives utterance, turn, hold, and 'chunker' takes tokens, turn [FK123]",
        ),
        (
            SPOKEN.replace("kind: chunker", "kind: chunker, from: tts"),
            "8:27: stages[5].from: the stages feed each other in a circle: chunker -> tts -> chunker [FK121]",
        ),
        (
            SPOKEN.replace("kind: chunker", "kind: chunker, from: chunker"),
            "8:27: stages[5].from: the stages feed each other in a circle: chunker -> chunker [FK121]",
        ),
        (
            SPOKEN.replace(
                "  - {kind: chunker}\n", "  - {kind: echo, id: a, from: b}\n  - {kind: echo, id: b, from: a}\n"
            ),
            "8:31: stages[5].from: the stages feed each other in a circle: a -> b -> a [FK121]",
        ),
        (SPOKEN.replace("  - {kind: mic}\n", ""), "3:5: stages[0]: nothing reaches 'vad' [FK122]"),
        (
            SPOKEN.replace("kind: llm,", "kind: llm, queue: {when_full: drop_oldest},"),
            "7:36: stages[4].queue.when_full: nothing that waits for 'llm' may be dropped (utterance) (got drop_oldest) [FK125]",
        ),
        (
            SPOKEN.replace("kind: mic", "kind: mic, queue: {max: 3}"),
            "3:24: stages[0].queue: 'mic' takes nothing from other stages, so it has no queue [FK125]",
        ),
        (
            SPOKEN.replace("  - {kind: asr, provider: scripted}\n", ""),
            "5:5: stages[2]: 'gate' gets no transcript [FK126]",
        ),
        (
            SPOKEN.replace("  - {kind: vad, provider: scripted}\n", "").replace(
                "kind: gate", "kind: gate, allow: [FK204]"
            ),
            "5:5: stages[2]: nothing tells 'gate' when an utterance has ended [FK126]",
        ),
        (
            SPOKEN.replace("kind: chunker", "kind: chunker, allow: [FK203, FK101]"),
            "8:28: stages[5].allow: 'FK101' is not a lint rule; only lint rules can be allowed [FK127]",
        ),
        (
            SPOKEN + "budgets: {ttfa: {p50: 900ms, p95: 600ms}}\n",
            "11:35: budgets.ttfa.p95: p95 must be at least p50, which is 900ms (got 600ms) [FK124]",
        ),
        (
            SPOKEN + "budgets: {ttfa: {max: 500ms}, parts: {clause_fill: {max: 300ms}, asr_final: {max: 300ms}}}\n",
            "11:23: budgets.ttfa.max: the parts add up to 600ms (asr_final + clause_fill), more than the whole (got 500ms) [FK124]",
        ),
        (
            SPOKEN + "budgets: {ttfa: {p50: 300ms}}\n",
            "11:23: budgets.ttfa.p50: cannot be met: the VAD alone waits 400ms for the utterance to end (got 300ms) [FK124]",
        ),
    ],
)
def test_a_graph_that_does_not_hold_together(text: str, line: str) -> None:
    found = lines(text)
    assert found[0] == f"x.yaml:{line}"
    assert all("FK122" in other for other in found[1:])
    with pytest.raises(InvalidConfig):
        require(reading(text).config)


LINTED = [
    (BASE.replace("kind: chunker", "kind: chunker, mode: reply"), "FK201", "warning", 5),
    (BASE.replace("provider: canned, text: hi", "provider: at_once"), "FK201", "warning", 4),
    (BASE.replace("{kind: chunker}", "{kind: patient, allow: [FK204]}"), "FK201", "warning", 5),
    (SPOKEN.replace("kind: llm,", "kind: llm, from: asr,"), "FK202", "error", 7),
    (SPOKEN.replace("  - {kind: chunker}\n", ""), "FK203", "error", 8),
    (SPOKEN.replace("{kind: chunker}", "{kind: patient, allow: [FK201]}"), "FK204", "warning", 8),
    (
        SPOKEN.replace("  - {kind: vad, provider: scripted}\n", "").replace(
            "kind: gate", "kind: gate, release: asr_final"
        ),
        "FK204",
        "warning",
        5,
    ),
    (BASE.replace("provider: canned, text: hi", "provider: blocking"), "FK205", "warning", 4),
    (BASE.replace("text: hi", "text: hi, failover: [{provider: blocking}]"), "FK205", "warning", 4),
    (BASE.replace("provider: print", "provider: print, queue: {max: unbounded}"), "FK206", "error", 6),
    (BASE.replace("provider: print", "provider: print, queue: {max: null}"), "FK206", "error", 6),
    (BASE.replace("provider: print", "provider: print, queue: {max: .inf}"), "FK206", "error", 6),
    (SPOKEN.replace("{kind: gate}", "{kind: gate, ignore: [uh-huh, 👍]}"), "FK208", "warning", 6),
    (SPOKEN.replace("kind: gate", "kind: gate, resume_after: 100ms"), "FK209", "warning", 6),
    (SPOKEN.replace("  - {kind: gate}", "  - {kind: turn}\n  - {kind: gate}"), "FK212", "warning", 4),
    (SPOKEN.replace("canned}", "canned, preempt: {}}"), "FK212", "warning", 7),
    (SPOKEN.replace("kind: gate", "kind: gate, preempt: {}"), "FK212", "warning", 6),
    (
        FOREIGN.replace("kind: chunker", "kind: chunker, language: de-AT").replace("moonshine", "scripted"),
        "FK210",
        "warning",
        9,
    ),
    (FOREIGN.replace("language: en", "language: fr"), "FK210", "warning", 5),
    (
        FOREIGN.replace(
            "kind: asr, provider: moonshine", "kind: asr, provider: scripted, failover: [{provider: moonshine}]"
        ).replace("language: en", "language: fr"),
        "FK210",
        "warning",
        5,
    ),
]


EARLY = SPOKEN.replace("canned}", "canned, preempt: {}}").replace(
    "  - {kind: gate}", "  - {kind: turn}\n  - {kind: gate}"
)


def test_an_early_answer_needs_a_predictor_or_none_at_all() -> None:
    assert not problems(EARLY), "a single silence is fine where the predictor begins answers"
    assert not problems(SPOKEN.replace("canned}", "canned, preempt: {at: 0}}"))
    typed = BASE.replace("text: hi", "text: hi, preempt: {}")
    assert not problems(typed), "typed lines are whole"


@pytest.mark.parametrize(("text", "code", "severity", "line"), LINTED)
def test_a_lint_stands_on_the_line_of_the_receiving_stage_and_can_be_allowed(
    text: str, code: str, severity: str, line: int
) -> None:
    (found,) = problems(text)
    assert (found.code, found.severity, found.mark.line) == (code, severity, line)
    assert f"allow: [{code}]" in found.help
    rows = text.split("\n")
    stage = rows[line - 1]
    rows[line - 1] = (
        stage.replace("allow: [", f"allow: [{code}, ")
        if "allow" in stage
        else stage.replace("}", f", allow: [{code}]}}", 1)
    )
    if any(word in stage for word in ("{max", "failover", "preempt")):
        rows[line - 1] = stage.replace("{kind", f"{{allow: [{code}], kind")
    assert not problems("\n".join(rows))


def test_a_pipeline_without_a_gate_has_no_interrupt_path() -> None:
    gateless = SPOKEN.replace("  - {kind: gate}\n", "")
    assert [(p.code, p.mark.line) for p in problems(gateless)] == [("FK202", 6)]  # what follows from it is not said
    allowed = gateless.replace("provider: canned", "provider: canned, allow: [FK202]")
    assert [(p.code, p.mark.line) for p in problems(allowed)] == [("FK204", line) for line in (6, 7, 8, 9)]


def test_an_absent_provider_gives_way_to_the_next() -> None:
    text = BASE.replace("provider: print", "provider: absent, failover: [{provider: print}]")
    (notice,) = problems(text)
    assert (notice.code, notice.severity) == ("FK105", "notice")
    provider = resolve(reading(text).config).stage("tts").provider
    assert provider is not None
    assert provider.name == "print"


CASE = SPOKEN + "tests:\n  - name: slow\n    expect: [{what: turns, equals: 1}]\n"


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("inject: [{slow: ts, by: 1s}]", "14:21: tests[0].inject[0].slow: no stage 'ts' has a provider"),
        ("inject: [{slow: gate, by: 1s}]", "14:21: tests[0].inject[0].slow: no stage 'gate' has a provider"),
        (
            "inject: [{fault: 'lm: fail'}]",
            "14:22: tests[0].inject[0].fault: there is no stage or tool 'lm' that could be",
        ),
        ('set: ["stages.lm.text=x"]', "14:11: tests[0].set[0]: there is no stage 'lm'"),
        ('set: ["stages.tts.kind=nothing"]', ""),
        ("inject: [{slow: voice, by: 1s}]\n    set: [stages.tts.id=voice]", ""),
    ],
)
def test_a_test_names_stages_that_are_there(line: str, wanted: str) -> None:
    found = problems(CASE + f"    {line}\n")
    assert [p.concise() for p in found if wanted not in p.concise() or not wanted] == []
    assert all(p.help for p in found)
    assert len(found) == bool(wanted)


def test_a_test_measures_queues_that_are_there() -> None:
    text = CASE.replace("what: turns", "what: queues.chunkr.high_water")
    (found,) = problems(text)
    assert "13:21: tests[0].expect[0].what: there is no queue before 'chunkr'" in found.concise()
    assert "did you mean 'chunker'?" in found.help


@pytest.mark.parametrize(
    ("tts", "help"),
    [
        ("openai_compatible, model: m, voice: v, base_url: 'http://x', stream_format: sse", []),
        (
            "openai_compatible, model: m, voice: v, base_url: 'http://x'",
            ["write stream_format: sse, or a price by characters, hour, minute"],
        ),
        ("print", ["write a price by characters, hour, minute"]),
    ],
)
def test_a_price_of_tokens_needs_the_option_that_makes_the_provider_tell_them(tts: str, help: list[str]) -> None:
    plan = planned(SPOKEN.replace("provider: print", f"provider: {tts}, price: {{input: 1, output: 12}}"))
    assert [found.help for found in lint(plan) if found.code == "FK215"] == help
