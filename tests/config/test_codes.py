"""Every code has a page, and every page's examples do what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import flowkit
from flowkit.config import read
from flowkit.config.codes import pages
from flowkit.plan import vet
from flowkit.plan.lints import LINTS

SHOWN_BY_TESTS = {"FK001", "FK002", "FK003", "FK023", "FK031", "FK105", "FK130", "FK131", "FK106", "FK115", "FK205"}
"""Codes that no short YAML shows on every machine."""


def found(text: str) -> set[str]:
    return {problem.code for problem in vet(read("x.yaml", text=text, environ={"HOME": "/"})).problems}


def test_every_code_in_the_source_has_a_page_and_every_page_a_code() -> None:
    source = Path(flowkit.__file__).parent
    used = {code for path in source.rglob("*.py") for code in re.findall(r'"(FK\d{3})"', path.read_text())}
    assert used == set(pages())


def test_the_pages_say_which_codes_are_warnings() -> None:
    assert {code: page.severity for code, page in pages().items() if code in LINTS} == {
        code: rule.severity for code, rule in LINTS.items()
    }
    assert {
        code: page.severity for code, page in pages().items() if code not in LINTS and page.severity != "error"
    } == {"FK130": "notice"}
    assert "A notice of `check`: exit code 0" in pages()["FK130"].markdown()
    assert "A warning: exit code 0" in pages()["FK207"].markdown()
    assert "An error: exit code 2" in pages()["FK206"].markdown()


@pytest.mark.parametrize("code", pages())
def test_the_wrong_example_gives_the_code_and_the_right_one_nothing(code: str) -> None:
    page = pages()[code]
    assert page.title
    assert page.why
    assert bool(page.wrong) == bool(page.right) == (code not in SHOWN_BY_TESTS)
    if page.wrong:
        assert found(page.wrong) == {code}
        assert not found(page.right)
