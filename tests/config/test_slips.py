"""Slips of writing that YAML takes for text: the error names the slip, not what the text then does wrong."""

from __future__ import annotations

import time

import pytest

from tests.config.helpers import problems

HEAD = "flowkit: 1\nstages:\n  - {kind: gate}\n  - "
LLM = "{kind: llm, provider: canned, text: hi"


@pytest.mark.parametrize(
    ("stage", "place", "what", "help"),
    [
        ("{kind: llm, provider:canned}", (4, 17), "unknown key 'provider:canned'", "space after the colon: provider: canned"),
        ("{kind:llm, provider: canned}", (4, 6), "unknown key 'kind:llm'", "space after the colon: kind: llm"),
        ("kind:llm", (4, 5), "must be a mapping (got 'kind:llm')", "space after the colon: kind: llm"),
        ("{kind: llm, provider: canned, text: Well, hello you}", (4, 47), "unknown key 'hello you'", "a comma needs quotes"),
        ("{kind: llm, provider: canned, text: \u201cNo, not yet.\u201d}", (4, 41), "typographic quotes", "straight quotes"),
        (f"{LLM}, first_token_timeout: \u201e2s\u201c}}", (4, 66), "typographic quotes", "straight quotes"),
        (f"{LLM}, \u2018queue\u2019: {{max: 2}}}}", (4, 45), "typographic quotes", "straight quotes"),
        (f"{LLM}, first_token_timeout: 2s#fast}}", (4, 66), "must be a duration", "write a space before it"),
        (f"{LLM}, first_token_timeout: '2s#fast'}}", (4, 66), "must be a duration", "units:"),
        ("{kind: llm, provider: canned\u00a0, text: hi}", (4, 33), "U+00A0 (no-break space) is not a space", "plain spaces"),
        ("kind: llm\n    provider: canned\n    \u00a0text: hi", (6, 5), "U+00A0", "plain spaces"),
        ("kind: llm\n    provider: openai\n    model: x", (5, 15), "unknown provider", "openai_compatible, base_url"),
        ("{kind: llm, provider: openai_compatble}", (4, 27), "unknown provider", "did you mean 'openai_compatible'?"),
        ("{kind: llm, provider: canned, first_token_timeout: 600 ms}", (4, 56), "has no space", "write 600ms"),
        ("{kind: llm, provider: canned, text: $SHELL}", (4, 41), "$SHELL is not a reference", "write ${SHELL}, or $$SHELL"),
    ],
)  # fmt: skip
def test_an_error_names_the_slip_that_it_comes_from(stage: str, place: tuple[int, int], what: str, help: str) -> None:
    (problem,) = problems(f"{HEAD}{stage}\n")
    assert (problem.mark.line, problem.mark.column) == place, problem.full()
    assert what in problem.message
    assert help in problem.help


def test_apostrophes_and_hashes_in_sound_text_are_left_alone() -> None:
    assert not problems(f"{HEAD}{{kind: llm, provider: canned, text: It\u2019s \u201cC#\u201d or F#}}\n")
    (problem,) = problems(f"{HEAD}{{kind: llm, provider: canned, text: It\u2019s, txt: 1}}\n")
    assert problem.mark.column == 47
    assert "did you mean 'text'?" in problem.help


def test_a_line_of_thousands_of_errors_is_not_looked_at() -> None:
    keys = ", ".join(f"k{i}: \u201c" for i in range(9000))
    started = time.process_time()
    assert len(problems(f"{HEAD}{{kind: chunker, {keys}}}\n")) == 9000
    assert time.process_time() - started < 20  # about 2 s, and a minute if each of them were looked at
