"""Errors of text that is not YAML: the place of the cause, and a hint that fixes it."""

from __future__ import annotations

import pytest

from flowkit.config.parse import parse
from flowkit.config.problems import Problem
from flowkit.config.text import NamedText


def refusal(text: str) -> Problem:
    found: list[Problem] = []
    parse(NamedText("x.yaml", text), found)
    assert len(found) == 1, found
    return found[0]


STAGES = "flowkit: 1\nstages:\n  - {kind: mic}\n  - kind: vad\n    provider: silero\n"
QUOTE = "this quote is closed only on line"
WRONG_INDENT = "this line is indented differently"


@pytest.mark.parametrize(
    ("text", "place", "what", "help"),
    [
        # a quote that is closed by one that was meant to open
        ('a: "b\nc: 1\nd: "e"\n', (1, 4), f"{QUOTE} 3", "close it where its text ends"),
        ("a: 'b\nc: 1\nd: 'e'\n", (1, 4), f"{QUOTE} 3", "close it"),
        ('a: "b\nc: ""\n', (1, 4), f"{QUOTE} 2", "close it"),
        ('- {a: "b}\n- {a: "c"}\n', (1, 7), f"{QUOTE} 2", "close it"),
        ('a: "b\n  c" d\n', (2, 6), "nothing more may follow", 'write \\" for a quote inside'),
        ('a: "b\n  c"\nd: e: f\n', (3, 5), "a colon is not allowed", "needs quotes"),
        ('a: "b\nc: 1\n', (1, 4), "this quote is not closed", "close it on the same line"),
        # escapes
        ('a: "x\\q"\n', (1, 6), "an unknown escape", "\\\\ for a backslash"),
        ('a: "C:\\Users"\n', (1, 7), "an unknown escape", "single quotes"),
        ('a: "\\x4"\n', (1, 5), "an unknown escape", "single quotes"),
        ('a: "\\UFFFFFFFF"\n', (1, 5), "an unknown escape", "single quotes"),
        ("\tb: 1\n" 'a: "\\U00110000"\n', (1, 1), "a tab cannot be used to indent", "spaces"),
        ('a: !x "\\U00110000"\n', (1, 8), "an unknown escape", "single quotes"),
        ("a: {b: ?c}\n", (1, 8), "text cannot begin with '?'", "quotes around it"),
        # spaces and quotes from elsewhere
        ("a:\n  - {b: 1}\u00a0\n", (2, 11), "U+00A0 (no-break space) is not a space", "plain spaces"),
        ("a:\n  - b:1\n    c: 2\n", (2, 5), "a key without a space after its colon", "space after the colon: b: 1"),
        ("a:\n  - b: 1\n\u00a0 - c: 2\n  - d: 3\n", (3, 1), "U+00A0 (no-break space) is not a space", "plain spaces"),
        ("a:\n  - b: 1\n  \u3000c: 2\n", (3, 3), "U+3000 (ideographic space)", "plain spaces"),
        ("a: \u201cb: c\u201d\n", (1, 4), "typographic quotes", 'straight quotes: "..."'),
        ("a: {b: \u00abc, d: e: f\u00bb}\n", (1, 8), "typographic quotes", 'straight quotes: "..."'),
        ("a: [\u00abc\u00bb]\nb: 1: 2\n", (2, 5), "a colon is not allowed", "needs quotes"),
        # lists without a dash, keys and dashes in the wrong column
        ("a:\n  - {b: 1}\n  {b: 2}\n  - {b: 3}\n", (3, 3), "a list entry without its dash", "begin it with `- `"),
        ("a:\n  - {b: 1}\n    {b: 2}\n", (3, 5), WRONG_INDENT, "begin it with `- ` in column 3"),
        ("a:\n  {b: 1}\n  {b: 2}\n", (3, 3), WRONG_INDENT, "begin each entry of the list with `- `"),
        ("a:\n  - {b: 1}\n  -{b: 2}\n", (3, 3), WRONG_INDENT, "write a space after the dash"),
        (STAGES + "  kind: asr\n", (6, 3), WRONG_INDENT, "begin it with `- `"),
        (STAGES + "  end: 1s\n", (6, 3), WRONG_INDENT, "column 5, where the keys of line 5 begin"),
        (STAGES + "   end: 1s\n", (6, 4), WRONG_INDENT, "column 5, where the keys of line 5 begin"),
        (STAGES + "      end: 1s\n", (6, 10), "a colon is not allowed", "column 5, where the keys of line 5 begin"),
        (STAGES + "   - {kind: asr}\n", (6, 4), WRONG_INDENT, "column 3, where the dash of line 4"),
        (STAGES + " - {kind: asr}\n", (6, 2), WRONG_INDENT, "column 3, where the dash of line 4"),
        (STAGES + "  budgets:\n    ttfa: 1s\n", (6, 3), WRONG_INDENT, "column 1: budgets is a separate block"),
        ("a:\n  b: |\n      c: d\n      - e\n   f: 1\n", (5, 4), WRONG_INDENT, "column 3, where the keys of line 2"),
        # what YAML has, and files here have not
        ("a: !secret groq_key\n", (1, 4), "the tag !secret", '"${GROQ_KEY}"'),
        ("a: !ENV ${GROQ_KEY}\n", (1, 4), "the tag !ENV", '"${GROQ_KEY}" is enough'),
        ("a: !vault |\n  $ANSIBLE_VAULT;1.1\n", (1, 4), "the tag !vault", '"${NAME}"'),
        ("a: !!str 1\n", (1, 4), "the tag !!str", "remove the tag"),
        ("a: &fast_retry 1\nb: *fast\n", (2, 4), "the alias *fast", "did you mean 'fast_retry'?"),
        ("flowkit: 1\n---\nflowkit: 1\n", (2, 1), "a second document", "each pipeline into a separate file"),
        ("flowkit: 1\n---\nstages: []\n", (2, 1), "a second document", "remove the `---`"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_cause_and_what_mends_it(text: str, place: tuple[int, int], what: str, help: str) -> None:
    problem = refusal(text)
    assert (problem.mark.line, problem.mark.column) == place, problem.full()
    assert what in problem.what
    assert help in problem.help


@pytest.mark.parametrize("indent", range(1, 9))
@pytest.mark.parametrize("line", ["- {kind: asr}", "kind: asr", "end: 1s", "{kind: asr}", "name: x"])
def test_what_is_said_of_an_indentation_mends_it(line: str, indent: int) -> None:
    """In whatever column a line starts, the text can be read after the hint was followed."""
    found: list[Problem] = []
    parse(NamedText("x.yaml", STAGES + " " * indent + line + "\n"), found)
    for problem in found:
        column, begun = indent + 1, line
        if "begin it with `- `" in problem.help:
            begun = "- " + line
        if "column " in problem.help:
            column = int(problem.help.partition("column ")[2].split(",")[0].split(":")[0])
        assert parse(NamedText("x.yaml", STAGES + " " * (column - 1) + begun + "\n"), []) is not None, problem.full()
