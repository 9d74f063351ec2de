"""Whole files: what is read, and the exact words of what is wrong."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from flowkit.config import InvalidConfig, load, read
from flowkit.config.text import MAX_BYTES
from tests.config.fakes import FAKE
from tests.config.helpers import BASE, codes, lines, problems, reading


def chunker(keys: str) -> str:
    return BASE.replace("kind: chunker", f"kind: chunker, {keys}")


def tts(keys: str) -> str:
    return BASE.replace("provider: print", keys)


def test_a_sound_file_becomes_a_configuration() -> None:
    config = load("clinic.yaml", text=BASE)
    assert [stage.id for stage in config.stages] == ["gate", "llm", "chunker", "tts"]
    assert config.name == "clinic"
    assert config.stage("tts").queue.max == 3
    call = config.stage("llm").candidates[0].call
    assert (call.first_item_timeout, call.idle_timeout) == (10_000_000, 10_000_000)


def test_a_word_stays_a_word() -> None:
    assert reading(BASE + "name: no\n").config.name == "no"


EXACT = [
    (chunker("max_tokens: 0"), "x.yaml:5:33: stages[2].max_tokens: must be >= 1 (got 0) [FK110]"),
    (
        chunker("queue: {when_full: drop}"),
        "x.yaml:5:40: stages[2].queue.when_full: must be 'block', 'drop_oldest', 'drop_newest' or 'error' (got 'drop') [FK112]",
    ),
    (BASE + "budgets: {ttfa: 600}\n", "x.yaml:7:17: budgets.ttfa: must be a mapping (got 600) [FK111]"),
    (
        BASE + "budgets: {ttfa: {p50: 600}}\n",
        "x.yaml:7:23: budgets.ttfa.p50: a duration needs a unit (got 600) [FK113]",
    ),
    (BASE + "name: a\nname: b\n", "x.yaml:8:1: name: duplicate key 'name'; first on line 7 [FK007]"),
    (tts("provider: ${TTS}"), "x.yaml:6:27: ${TTS} inside braces or brackets needs quotes [FK006]"),
    ("flowkit: 1\nstages:\n\t- {kind: gate}\n", "x.yaml:3:1: a tab cannot be used to indent [FK005]"),
    ("", "x.yaml:1:1: the file is empty [FK011]"),
    ("# nothing\n", "x.yaml:1:1: the file is empty [FK011]"),
    ("- {kind: gate}\n", "x.yaml:1:1: the file must be a mapping (got a list) [FK011]"),
    (BASE.replace("1", "2", 1), "x.yaml:1:10: flowkit: unknown version: this flowkit reads version 1 (got 2) [FK100]"),
    (BASE.replace("flowkit: 1\n", ""), "x.yaml:1:1: 'flowkit' is missing: the version of the language [FK100]"),
    ("flowkit: 1\n", "x.yaml:1:1: 'stages' is missing [FK104]"),
    ("flowkit: 1\nstages: []\n", "x.yaml:2:9: stages: needs at least one stage [FK104]"),
    ("flowkit: 1\nstages: {kind: gate}\n", "x.yaml:2:9: stages: must be a list (got a mapping) [FK111]"),
    ("flowkit: 1\nstages: [gate]\n", "x.yaml:2:10: stages[0]: must be a mapping (got 'gate') [FK111]"),
    ("flowkit: 1\nstages: [{kind: gaet}]\n", "x.yaml:2:17: stages[0].kind: unknown kind 'gaet' [FK102]"),
    ("flowkit: 1\nstages: [{id: gate}]\n", "x.yaml:2:10: stages[0]: 'kind' is missing [FK104]"),
    ("flowkit: 1\nstages: [{kind: 3}]\n", "x.yaml:2:17: stages[0].kind: must be text (got 3) [FK111]"),
    (
        "flowkit: 1\nstages: [{kind: twice}]\n",
        "x.yaml:2:17: stages[0].kind: kind 'twice' is declared by one and two [FK106]",
    ),
    (tts("provider: prnt"), "x.yaml:6:27: stages[3].provider: unknown provider 'prnt' for kind 'tts' [FK103]"),
    (tts("provider: 7"), "x.yaml:6:27: stages[3].provider: must be text (got 7) [FK111]"),
    (
        tts("provider: twice"),
        "x.yaml:6:27: stages[3].provider: provider 'tts.twice' is declared by one and two [FK106]",
    ),
    (
        tts("provider: broken"),
        "x.yaml:6:27: stages[3].provider: provider 'tts.broken' of package x cannot be imported: no [FK115]",
    ),
    (
        tts("provider: absent"),
        "x.yaml:6:27: stages[3].provider: provider 'absent' is not installed: there is no module no_such_module_anywhere [FK105]",
    ),
    (tts("provider: robot"), "x.yaml:6:5: stages[3]: 'api_key' is missing [FK104]"),
    (tts("provider: print, sped: 2"), "x.yaml:6:34: stages[3].sped: unknown key 'sped' [FK101]"),
    (
        tts("provider: print, failover: {provider: print}"),
        "x.yaml:6:44: stages[3].failover: must be a list (got a mapping) [FK111]",
    ),
    (
        tts("provider: print, failover: [print]"),
        "x.yaml:6:45: stages[3].failover[0]: must be a mapping (got 'print') [FK111]",
    ),
    (tts("provider: print, failover: [{}]"), "x.yaml:6:45: stages[3].failover[0]: 'provider' is missing [FK104]"),
    (
        tts("provider: print, failover: [{provider: print, queue: {}}]"),
        "x.yaml:6:63: stages[3].failover[0].queue: unknown key 'queue' [FK101]",
    ),
    (
        tts("provider: print, first_token_timeout: 2"),
        "x.yaml:6:55: stages[3].first_token_timeout: a duration needs a unit (got 2) [FK113]",
    ),
    (
        BASE.replace("kind: gate", "kind: gate, provider: x"),
        "x.yaml:3:28: stages[0].provider: unknown provider 'x' for kind 'gate' [FK103]",
    ),
    (chunker("provider: x"), "x.yaml:5:31: stages[2].provider: kind 'chunker' has no providers [FK103]"),
    (
        chunker("id: 'a b'"),
        "x.yaml:5:25: stages[2].id: must be a word of letters, digits, _ and -, without spaces (got 'a b') [FK114]",
    ),
    (chunker("id: llm"), "x.yaml:5:25: stages[2].id: there is already a stage with the id 'llm', on line 4 [FK108]"),
    (BASE + "stagse: []\n", "x.yaml:7:1: stagse: unknown key 'stagse' [FK101]"),
    (BASE + "trace: {audio: yes}\n", "x.yaml:7:16: trace.audio: must be true or false (got 'yes') [FK111]"),
    (
        BASE + "tests: [{name: a}]\n",
        "x.yaml:7:9: tests[0]: needs chunker, or expect for a session (got a mapping) [FK114]",
    ),
    (
        BASE + "shutdown: {grace: 2 s}\n",
        "x.yaml:7:19: shutdown.grace: a duration has no space (got '2 s') [FK113]",
    ),
    (
        BASE.replace("canned, text: hi", "scripted, replies: [{after: look}]"),
        "x.yaml:4:47: stages[1].replies[0]: a reply after a tool needs text, tokens, calls or fail_after (got a mapping) [FK114]",
    ),
]


@pytest.mark.parametrize(("text", "line"), EXACT)
def test_what_is_wrong_is_said_in_these_words(text: str, line: str) -> None:
    assert lines(text) == [line]


@pytest.mark.parametrize(
    ("text", "help"),
    [
        (chunker("max_tokns: 3"), "did you mean 'max_tokens'?"),
        (BASE.replace("text: hi", "text: hi, max_tokens: 3"), "'max_tokens' belongs to the kind chunker"),
        (chunker("budgets: {}"), "'budgets' belongs to the top level"),
        (BASE.replace("text: hi", "text: hi, per_token: 2ms"), "'per_token' belongs to the provider scripted"),
        ("flowkit: 1\nstages: [{knid: gate}]\n", "did you mean 'kind'?"),
        ("flowkit: 1\nstage: [{kind: gate}]\n", "did you mean 'stages'?"),
        (tts("provider: robot, api_kee: x"), "did you mean 'api_key'?"),
        (BASE + "queue: {max: 3}\n", "'queue' belongs to a stage"),
        (tts("provider: prnt"), "did you mean 'print'?"),
        (tts("provider: absent"), "install it: pip install flowkit-voice[absent]"),
        (BASE + "budgets: {ttfa: {p50: 600}}\n", "write 600ms or 600s"),
        (BASE + "budgets: {ttfa: 600}\n", "write {p50: ...}; keys: p50, p95, max"),
        (BASE + "trace: {audio: yes}\n", "write true"),
        (chunker('max_tokens: "3"'), "remove the quotes: 3"),
        (chunker("max_tokens: 0"), "the default is 30"),
        (BASE + "name: 5\n", 'put it in quotes: "5"'),
        (BASE + "interrupt: {ignore: okay}\n", "write [okay]"),
        (tts("provider: ${TTS}"), 'write "${TTS}"'),
        (BASE.replace("1", "2", 1), "write: flowkit: 1"),
    ],
)
def test_help_says_what_mends_it(text: str, help: str) -> None:
    (problem,) = problems(text)
    assert help in problem.help


def test_everything_that_is_wrong_is_found_in_one_run() -> None:
    text = (
        chunker("max_tokens: 0, sped: 1").replace("text: hi", "text: 5").replace("print", "prnt")
        + "budget: {}\nname: 3\n"
    )
    assert codes(text) == ["FK111", "FK110", "FK101", "FK103", "FK101", "FK111"]


def test_load_raises_with_every_error() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load("x.yaml", text=chunker("max_tokens: 0") + "budget: {}\n")
    assert [p.code for p in caught.value.problems] == ["FK110", "FK101"]
    assert str(caught.value).count("\n    help: ") == 2
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("raw", "code", "place"),
    [
        (b"flowkit: 1\nname: caf\xe9\n", "FK003", (2, 10)),
        (b"\xff\xfea\x00", "FK003", (1, 1)),
        (b"#" * (MAX_BYTES + 1), "FK002", (1, 1)),
    ],
)
def test_bytes_that_are_no_pipeline(tmp_path: Path, raw: bytes, code: str, place: tuple[int, int]) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(raw)
    (problem,) = read(path).problems
    assert (problem.code, (problem.mark.line, problem.mark.column)) == (code, place)


def test_a_bound_of_one_is_told_in_the_singular() -> None:
    (problem,) = problems(tts("provider: cartesia, voice: ''"))
    assert problem.what == "must have at least 1 character"


@pytest.mark.parametrize("name", ["missing.yaml", ".", "nul\0.yaml"])
def test_a_path_that_leads_nowhere(tmp_path: Path, name: str) -> None:
    (problem,) = read(tmp_path / name).problems
    assert problem.code == "FK001"


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + chunker("max_tokens: 0").replace("\n", "\r\n").encode())
    (problem,) = read(path).problems
    assert (problem.mark.line, problem.mark.column) == (5, 33)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(chunker("max_tokens: 0").encode())))
    (problem,) = read("-", catalog=FAKE).problems
    assert str(problem).startswith("<stdin>:5:33: ")


def test_both_names_of_one_deadline_are_too_many() -> None:
    assert codes(tts("provider: print, first_token_timeout: 2s, first_item_timeout: 3s")) == ["FK107"]


AGAIN = "belongs to the kind asr, the kind llm, the kind tts"
TIMED = "belongs to the kind mic, the kind vad, the kind llm, the kind tts"


@pytest.mark.parametrize(
    ("keys", "help"),
    [
        ("kind: vad, provider: webrtcvad, retry: {max: 1}", f"'retry' {AGAIN}"),
        ("kind: mic, provider: wav, path: a.wav, circuit: {open_after: 1}", f"'circuit' {AGAIN}"),
        ("kind: speaker, provider: memory, idle_timeout: 1s", f"'idle_timeout' {TIMED}"),
        ("kind: asr, provider: scripted, idle_timeout: 1s", f"'idle_timeout' {TIMED}"),
        ("kind: asr, provider: scripted, connect_timeout: 1s", "'connect_timeout' belongs to the provider assemblyai"),
        ("kind: vad, provider: webrtcvad, connect_timeout: 1s", ""),
    ],
)
def test_options_of_a_call_that_would_change_nothing_are_refused(keys: str, help: str) -> None:
    found = read("x.yaml", text=f"flowkit: 1\nstages:\n  - {{{keys}}}\n").problems
    refused = [problem for problem in found if problem.code == "FK101"]
    assert [problem.what for problem in refused] == [f"unknown key {keys.split(', ')[-1].partition(':')[0]!r}"]
    assert refused[0].help.startswith(help)


def test_failover_entries_take_the_options_of_their_own_provider() -> None:
    asr = "kind: asr, provider: moonshine, failover: [{provider: assemblyai, api_key: x, connect_timeout: 1s}]"
    assert not read("x.yaml", text=f"flowkit: 1\nstages:\n  - {{{asr}}}\n").problems
    swapped = "kind: asr, provider: assemblyai, api_key: x, failover: [{provider: moonshine, connect_timeout: 1s}]"
    (problem,) = read("x.yaml", text=f"flowkit: 1\nstages:\n  - {{{swapped}}}\n").problems
    assert problem.help == "'connect_timeout' belongs to the provider assemblyai, the provider openai_compatible"


def test_interrupt_is_the_gates_own_under_a_shorter_name() -> None:
    config = reading(BASE + "interrupt: {speech_for: 90ms, ignore: [okay]}\n").config
    assert config.stage("gate").options.ignore == ("okay",)  # type: ignore[attr-defined]
    spoken = BASE.replace("  - {kind: gate}", "  - {kind: mic}\n  - {kind: vad, provider: scripted}\n  - {kind: gate}")
    config = reading(spoken + "interrupt: {speech_for: 90ms}\n").config
    assert config.stage("vad").options.speech_for == 90_000  # type: ignore[attr-defined]
    both = BASE.replace("kind: gate", "kind: gate, min_words: 1") + "interrupt: {min_words: 2}\n"
    assert lines(both) == [
        "x.yaml:7:13: interrupt.min_words: 'min_words' is given twice: here, and by the gate on line 3 [FK107]"
    ]


def test_a_wrong_interrupt_is_reported_once() -> None:
    assert codes(BASE + "interrupt: {speech_for: 90}\n") == ["FK113"]


def test_a_frame_has_a_length_that_vads_take() -> None:
    (found,) = problems("flowkit: 1\nstages: [{kind: mic, frame: 25ms}]\n")
    assert found.concise() == ("x.yaml:2:29: stages[0].frame: must be '10ms', '20ms' or '30ms' (got '25ms') [FK112]")
    assert found.help == "did you mean '20ms'?"


@pytest.mark.parametrize(
    ("text", "what", "help"),
    [
        (chunker("min_tokens: 3"), "unknown key 'min_tokens'", "write first: {min_tokens: ...}"),
        (chunker("when_full: block"), "unknown key 'when_full'", "write queue: {when_full: ...}"),
        (tts("provider: print, open_after: 2"), "unknown key 'open_after'", "write circuit: {open_after: ...}"),
        (BASE + "ttfa: {p95: 1s}\n", "unknown key 'ttfa'", "write budgets: {ttfa: ...}"),
        (BASE + "budgets: {clause_fill: {p95: 1s}}\n", "unknown key 'clause_fill'", "write parts: {clause_fill: ...}"),
    ],
)
def test_a_key_is_looked_for_a_level_deeper(text: str, what: str, help: str) -> None:
    (problem,) = problems(text)
    assert what in problem.what
    assert problem.help == help


@pytest.mark.parametrize(
    ("text", "what", "help"),
    [
        (
            BASE.replace("provider: canned, text: hi", "provider: llamacpp, sha256: abc"),
            "must match ^([0-9a-fA-F]{64})?$",
            "The SHA-256 digest that the file must have, if given",
        ),
        (chunker("id: look up"), "must be a word of letters", "write look_up"),
        (chunker("id: 2nd"), "must be a word of letters", "write _2nd"),
        (
            BASE.replace("provider: canned, text: hi", "provider: groq, api_key: x, model: m, base_url: a.b/c"),
            "must be an address that begins with https:// or http://",
            "write https://a.b/c",
        ),
    ],
)
def test_a_form_is_put_into_words(text: str, what: str, help: str) -> None:
    (problem,) = problems(text)
    assert problem.code == "FK114"
    assert what in problem.what
    assert problem.help.startswith(help)


@pytest.mark.parametrize(
    ("failover", "help"), [("[print]", "write {provider: print}"), ("print", "write [{provider: print}]")]
)
def test_a_refused_failover_list_may_hold_who_takes_over(failover: str, help: str) -> None:
    found = problems(tts(f"provider: robot, api_key: '${{NOT_SET}}', failover: {failover}"))
    assert [(p.code, p.severity) for p in found] == [("FK020", "notice"), ("FK111", "error")]
    assert found[1].help == help
    (unset,) = problems(tts("provider: robot, api_key: '${NOT_SET}', failover: []"))
    assert (unset.code, unset.severity) == ("FK020", "error")
