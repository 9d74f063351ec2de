"""References: values from outside, their origins, and what is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.config import InvalidConfig, Outside, Unset, load, read
from flowkit.config.nodes import Scalar
from tests.config.fakes import FAKE
from tests.config.helpers import BASE, codes, lines, problems, reading

ROBOT = BASE.replace("provider: print", 'provider: robot, api_key: "${ROBOT_KEY}"')


def name_of(text: str, **environ: str) -> str:
    found = reading(f"{BASE}name: {text}\n", environ=environ)
    assert not found.problems
    return found.config.name


def test_each_form_of_reference() -> None:
    assert name_of("${A}", A="x") == "x"
    assert name_of("a-${A}-${B}", A="x", B="y") == "a-x-y"
    assert name_of("${A:-d}") == "d"
    assert name_of("${A:-d}", A="") == "d"
    assert name_of("${A:-}z") == "z"
    assert name_of("${A:?why}", A="x") == "x"
    assert name_of("$${A} costs $5 $$") == "${A} costs $5 $"
    assert name_of("${A:-http://x:80/y?z}") == "http://x:80/y?z"


def test_a_value_from_outside_never_becomes_structure_or_another_reference() -> None:
    assert name_of("${A}", A="{a: ${B}} # x") == "{a: ${B}} # x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("${A}", "the variable A is not set [FK020]"),
        ("${A:?we need it}", "the variable A is required: we need it [FK022]"),
        ("${A", "${ is not closed [FK021]"),
        ("${1A}", "${1A} is not a reference [FK021]"),
        ("${}", "${} is not a reference [FK021]"),
        ("${A:+x}", "${A:+x} is not a reference [FK021]"),
    ],
)
def test_a_reference_without_value_is_an_error_at_the_scalar(text: str, said: str) -> None:
    assert lines(f"{BASE}name: {text}\n") == [f"x.yaml:7:7: name: {said}"]


def test_a_value_from_outside_has_the_type_that_the_option_wants() -> None:
    text = BASE.replace(
        "kind: chunker", 'kind: chunker, max_tokens: "${N}", speculate_end: "${B}", flush_after: "${D}"'
    )
    options = reading(text, environ={"N": "20", "B": "true", "D": "2s"}).config.stage("chunker").options
    assert (options.max_tokens, options.speculate_end, options.flush_after) == (20, True, 2_000_000)  # type: ignore[attr-defined]
    assert name_of("${A}", A="20") == "20"


def test_what_is_written_in_quotes_is_text_and_no_number() -> None:
    assert codes(BASE.replace("kind: chunker", 'kind: chunker, max_tokens: "20"')) == ["FK111"]


def test_an_error_names_the_variable_and_shows_its_value_only_to_who_trusts_the_file() -> None:
    text = ROBOT.replace("provider: robot", 'provider: robot, speed: "${TTS_SPEED}"')
    environ = {"TTS_SPEED": "9.5", "ROBOT_KEY": "s3cret"}
    trusted = [p.message for p in problems(text, environ=environ, reveal=True)]
    assert trusted == ["must be <= 4.0 (got '9.5' from env TTS_SPEED)"]
    assert [p.message for p in problems(text, environ=environ)] == ["must be <= 4.0 (got a value from env TTS_SPEED)"]


@pytest.mark.parametrize("place", ["speed", "count", "loud", "warm", "nonsense", "first_item_timeout", "queue"])
@pytest.mark.parametrize("name", ["ROBOT_KEY", "ANY"])
def test_a_secret_is_in_no_error_wherever_it_is_put(place: str, name: str) -> None:
    text = ROBOT.replace("provider: robot", f'provider: robot, {place}: "${{{name}}}"')
    environ = {"ROBOT_KEY": "s3cret", "ANY": "s3cret"}
    said = "".join(p.full() for p in problems(text, environ=environ, reveal=name == "ROBOT_KEY"))
    assert said
    assert "s3cret" not in said


def test_a_secret_option_is_never_shown_even_when_it_is_written_in_the_file() -> None:
    text = BASE.replace("provider: print", "provider: robot, api_key: [s3cret]")
    assert "s3cret" not in "".join(p.full() for p in problems(text))
    found = reading(BASE.replace("provider: print", "provider: robot, api_key: s3cret")).config
    assert "s3cret" not in repr(found.stage("tts").candidates[0].options)


def test_a_token_that_is_too_short_is_told_so_without_it() -> None:
    text = BASE + "serve: {tokens: ['${TOKEN}']}\n"
    told = [p.message for p in problems(text, environ={"TOKEN": "s3cret"})]
    assert told == ["must have at least 16 characters (got a value from env TOKEN)"]


def test_a_file_holds_a_secret(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    pipeline = tmp_path / "x.yaml"
    pipeline.write_text(ROBOT.replace("${ROBOT_KEY}", "${file:key}"))
    config = load(pipeline, environ={}, catalog=FAKE)
    options = config.stage("tts").candidates[0].options
    assert options.api_key.get_secret_value() == "s3cret"  # type: ignore[attr-defined]
    assert "s3cret" not in repr(config)


def test_check_opens_no_file(tmp_path: Path) -> None:
    pipeline = tmp_path / "x.yaml"
    pipeline.write_text(ROBOT.replace("${ROBOT_KEY}", "${file:/no/such/file}"))
    assert not read(pipeline, catalog=FAKE).problems


@pytest.mark.parametrize("target", ["missing", ".", "big", "binary", "nul\\0"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "big").write_text("x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    pipeline = tmp_path / "x.yaml"
    pipeline.write_text(ROBOT.replace("${ROBOT_KEY}", f"${{file:{target}}}"))
    with pytest.raises(InvalidConfig) as caught:
        load(pipeline, environ={}, catalog=FAKE)
    assert {p.code for p in caught.value.problems} <= {"FK023", "FK003"}


def test_a_reference_that_stays_is_no_error_where_nothing_runs() -> None:
    text = ROBOT.replace("provider: robot", 'provider: robot, speed: "${SPEED}", count: "${COUNT}"')
    found = reading(text, unset=Unset.KEEP)
    assert not found.problems
    options = found.config.stage("tts").candidates[0].options
    assert options.api_key.get_secret_value() == "${ROBOT_KEY}"  # type: ignore[attr-defined]
    assert options.speed == 1.0  # type: ignore[attr-defined]


def test_a_provider_without_its_variable_is_skipped_if_another_is_there() -> None:
    text = ROBOT.replace(
        '${ROBOT_KEY}"', '${ROBOT_KEY}", failover: [{provider: robot, api_key: "${TWO}"}, {provider: print}]'
    )
    found = reading(text)
    assert [p.severity for p in found.problems] == ["notice", "notice"]
    assert [c.name for c in found.config.stage("tts").candidates] == ["print"]
    assert [c.name for c in reading(text, environ={"TWO": "2"}).config.stage("tts").candidates] == ["robot", "print"]


def test_if_none_is_left_every_missing_variable_is_an_error() -> None:
    text = ROBOT.replace('${ROBOT_KEY}"', '${ROBOT_KEY}", failover: [{provider: robot, api_key: "${TWO}"}]')
    assert codes(text) == ["FK020", "FK020"]


def test_a_default_may_be_typed_as_the_option_wants() -> None:
    text = BASE.replace("kind: chunker", 'kind: chunker, max_tokens: "${N:-25}"')
    assert reading(text).config.stage("chunker").options.max_tokens == 25  # type: ignore[attr-defined]
    assert lines(text.replace("25", "0")) == ["x.yaml:5:33: stages[2].max_tokens: must be >= 1 (got '0') [FK110]"]


def test_origins_are_kept() -> None:
    node = reading(f"{BASE}name: ${{A}}\n", environ={"A": "x"}).config.root.get("name")
    assert isinstance(node, Scalar)
    assert node.origin == "env A"


def test_variables_that_are_no_text_are_refused() -> None:
    outside = Outside(environ={"A": "x\udcff"})
    assert [p.code for p in read("x.yaml", text=f"{BASE}name: ${{A}}\n", outside=outside).problems] == ["FK021"]
