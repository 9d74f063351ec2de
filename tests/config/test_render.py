"""The forms in which problems are written."""

from __future__ import annotations

import json

from flowkit.config.render import masked, render
from tests.config.helpers import BASE, problems

TEXT = BASE.replace("kind: chunker", "kind: chunker, max_tokens: 0")


def test_the_form_for_a_terminal_shows_the_line_and_the_place() -> None:
    assert render(problems(TEXT), "full", terminal=True) == (
        "error[FK110]: stages[2].max_tokens: must be >= 1 (got 0)\n"
        " --> x.yaml:5:33\n"
        "  |\n"
        "5 |   - {kind: chunker, max_tokens: 0}\n"
        "  |                                 ^\n"
        "  = help: it takes >= 1 and <= 1000; the default is 30\n\n"
    )


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\x1b[" not in render(problems(TEXT), "full", terminal=True)
    assert "\x1b[1;31merror[FK110]\x1b[0m" in render(problems(TEXT), "full", terminal=True, colour=True)


def test_a_long_line_is_shown_around_the_place() -> None:
    text = BASE.replace("text: hi", f"text: {'x' * 500}, sped: 1")
    shown = render(problems(text), "full", terminal=True).splitlines()
    assert max(len(line) for line in shown[:-2]) < 130
    assert shown[3][shown[4].index("^") :].startswith("sped")


def test_a_tab_does_not_shift_the_carets() -> None:
    shown = render(problems(BASE + 'trace: {dir: "a\tb", x: 1}\n'), "full", terminal=True).splitlines()
    assert shown[3][shown[4].index("^")] == "x"


def test_secrets_in_a_shown_line_are_starred() -> None:
    assert masked("{api_key: sk-12, max: 0}") == "{api_key: *****, max: 0}"
    assert masked('{"auth_token": "a b", x: 1}') == '{"auth_token": *****, x: 1}'
    assert masked("{api_key: ${KEY}, max_tokens: 3, first_token_timeout: 2s}") == (
        "{api_key: ${KEY}, max_tokens: 3, first_token_timeout: 2s}"
    )
    text = BASE.replace("provider: print", "provider: robot, api_key: sk-123, sped: 1")
    assert "sk-123" not in render(problems(text), "full", terminal=True)


def test_machines_get_every_field() -> None:
    (record,) = json.loads(render(problems(TEXT), "json"))
    assert record == {
        "code": "FK110",
        "severity": "error",
        "file": "x.yaml",
        "line": 5,
        "column": 33,
        "end_line": 5,
        "end_column": 34,
        "path": "stages[2].max_tokens",
        "message": "must be >= 1 (got 0)",
        "help": "it takes >= 1 and <= 1000; the default is 30",
    }


def test_an_annotation_is_one_line_with_its_commas_escaped() -> None:
    text = BASE + "x,y: 1\n"
    line = render(problems(text), "github").rstrip("\n")
    assert line.startswith("::error file=x.yaml,line=7,col=1,title=FK101,endColumn=4::x,y: unknown key")
    assert "\n" not in line


def test_sarif_names_rule_and_region() -> None:
    (run,) = json.loads(render(problems(TEXT), "sarif"))["runs"]
    assert run["tool"]["driver"]["rules"][0]["id"] == "FK110"
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 5, "startColumn": 33, "endLine": 5, "endColumn": 34}


def test_nothing_to_say() -> None:
    assert [render([], form) for form in ("full", "concise", "github")] == ["", "", ""]
    assert json.loads(render([], "json")) == []
