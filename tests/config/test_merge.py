"""Trees over each other: includes, defaults, settings of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowkit.config import read
from tests.config.helpers import BASE, codes, lines, reading


def options(text: str, stage: str, overrides: tuple[str, ...] = ()) -> object:
    found = reading(text, overrides)
    assert not found.problems, [str(p) for p in found.problems]
    return found.config.stage(stage).options


def test_set_changes_a_value_by_id_kind_or_number() -> None:
    for path in ("stages.chunker.max_tokens", "stages.2.max_tokens"):
        assert options(BASE, "chunker", (f"{path}=20",)).max_tokens == 20  # type: ignore[attr-defined]
    text = BASE.replace("kind: chunker", "kind: chunker, id: cut")
    assert options(text, "cut", ("stages.cut.max_tokens=20",)).max_tokens == 20  # type: ignore[attr-defined]


def test_set_makes_blocks_and_takes_lists_and_quotes() -> None:
    config = reading(BASE, ("budgets.ttfa.p50=600ms", "interrupt.ignore=[okay, right]", "name='20'")).config
    assert config.top.budgets.ttfa.p50 == 600_000
    assert config.top.interrupt.ignore == ("okay", "right")
    assert config.name == "20"


def test_set_is_typed_as_the_option_wants() -> None:
    assert reading(BASE, ("name=20",)).config.name == "20"
    assert reading(BASE, ("name=true",)).config.name == "true"
    assert reading(BASE, ("trace.audio=false",)).config.top.trace.audio is False


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("name", "--set:1:1: 'name' is not a setting [FK031]"),
        ("na me=1", "--set:1:1: 'na me=1' is not a setting [FK031]"),
        ("stages.chnker.max_tokens=1", "--set:1:1: there is no stage 'chnker' [FK031]"),
        ("stages.9.max_tokens=1", "--set:1:1: there is no stage '9' [FK031]"),
        ("tools.0.timeout=5s", "--set:1:1: there is no list 'tools' [FK031]"),
        ("flowkit.x=1", "--set:1:1: flowkit has no keys below it [FK031]"),
        ("stages.chunker.max_tokens=0", "--set:1:27: stages[2].max_tokens: must be >= 1 (got '0' from --set) [FK110]"),
        ("stages.chunker.max_tokns=3", "--set:1:1: stages[2].max_tokns: unknown key 'max_tokns' [FK101]"),
        ("name=[1", "--set:1:6: this '[' is not closed [FK004]"),
    ],
)
def test_a_setting_that_leads_nowhere_is_an_error(override: str, line: str) -> None:
    assert lines(BASE, overrides=(override,))[0] == line


def test_defaults_fill_what_a_stage_does_not_say() -> None:
    text = BASE + "defaults:\n  chunker: {max_tokens: 20, comma_after: 9}\n"
    text = text.replace("kind: chunker", "kind: chunker, comma_after: 10")
    found = options(text, "chunker")
    assert (found.max_tokens, found.comma_after) == (20, 10)  # type: ignore[attr-defined]


def test_defaults_of_a_provider_reach_its_failover_entries_too() -> None:
    text = BASE.replace("text: hi", "failover: [{provider: canned}]") + "defaults: {llm/canned: {text: yes}}\n"
    candidates = reading(text).config.stage("llm").candidates
    assert [c.options.text for c in candidates] == ["yes", "yes"]  # type: ignore[attr-defined]


def test_wrong_defaults_are_reported_where_they_stand() -> None:
    assert lines(BASE + "defaults: {chunker: {max_tokens: 0}}\n") == [
        "x.yaml:7:34: stages[2].max_tokens: must be >= 1 (got 0) [FK110]"
    ]
    assert lines(BASE + "defaults: {chunkr: {}}\n") == ["x.yaml:7:12: defaults.chunkr: unknown kind 'chunkr' [FK102]"]
    assert codes(BASE + "defaults: 3\n") == ["FK111"]
    assert codes(BASE + "defaults: {llm: 3}\n") == ["FK111"]


# -- include -----------------------------------------------------------------------------------------------------------


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "main.yaml"


def test_a_file_is_laid_over_those_it_includes(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main="include: [one.yaml, two.yaml]\nbudgets: {ttfa: {p95: 900ms}}\n",
        one=BASE + "name: one\nbudgets: {ttfa: {p50: 600ms, p95: 700ms}}\n",
        two="name: two\n",
    )
    found = read(main)
    assert not found.problems
    assert found.config.name == "two"
    assert (found.config.top.budgets.ttfa.p50, found.config.top.budgets.ttfa.p95) == (600_000, 900_000)


def test_an_error_names_the_included_file(tmp_path: Path) -> None:
    main = write(tmp_path, main="include: base.yaml\n", base=BASE + "name: 3\n")
    (problem,) = read(main).problems
    assert (problem.mark.source.name, problem.mark.line) == (str(tmp_path / "base.yaml"), 7)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/etc/passwd", "only .yaml and .yml files"),
        ("../secret.yaml", "in the pipeline's own folder"),
        ("link.yaml", "in the pipeline's own folder"),
        ("missing.yaml", "No such file"),
        ("main.yaml", "includes itself"),
        ("loop.yaml", "includes itself"),
        ("[3]", "must be a file name"),
        ("{a: b}", "must be a file name"),
        ('"nul\\0.yaml"', "contains a character"),
    ],
)
def test_what_cannot_be_included(tmp_path: Path, name: str, said: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text("name: s3cret\n")
    (folder / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    main = write(folder, main=f"include: {name}\n{BASE}", loop="include: main.yaml\n")
    found = [p for p in read(main).problems if p.code != "FK007"]
    assert said in " ".join(p.message for p in found)
    assert "s3cret" not in " ".join(p.full() for p in found)


def test_a_crowd_of_includes_is_refused(tmp_path: Path) -> None:
    names = [f"f{i}" for i in range(20)]
    main = write(
        tmp_path,
        main=f"include: [{', '.join(f'{n}.yaml' for n in names)}]\n{BASE}",
        **dict.fromkeys(names, "name: x\n"),
    )
    assert {p.code for p in read(main).problems} == {"FK030"}
