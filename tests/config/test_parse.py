"""Texts to nodes: positions, limits, and the same result whichever parser reads."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config import parse as parse_module
from flowkit.config.nodes import Mapping, Node, Scalar, Sequence, core_value, plain
from flowkit.config.parse import MAX_WEIGHT, parse
from flowkit.config.problems import Problem
from flowkit.config.text import NamedText
from tests.config.helpers import BASE


def parsed(text: str) -> tuple[Node | None, list[Problem]]:
    found: list[Problem] = []
    return parse(NamedText("x.yaml", text), found), found


def node_of(text: str) -> Node:
    node, found = parsed(text)
    assert not found
    assert node is not None
    return node


def refusal(text: str) -> Problem:
    _, found = parsed(text)
    assert len(found) == 1, found
    return found[0]


def test_every_key_and_value_knows_its_place() -> None:
    node = node_of("a: 1\nb:\n  - x\n  - {c: 'd e'}\n")
    assert isinstance(node, Mapping)
    listed = node.get("b")
    assert isinstance(listed, Sequence)
    inner = listed.items[1]
    assert isinstance(inner, Mapping)
    entry = inner.entries["c"]
    assert (entry.key.line, entry.key.column, entry.key.end_column) == (4, 6, 7)
    assert (entry.value.mark.line, entry.value.mark.column, entry.value.mark.end_column) == (4, 9, 14)


def test_columns_count_characters_not_bytes() -> None:
    node = node_of("{ä😀: ü, b: 1}")
    assert isinstance(node, Mapping)
    assert node.entries["b"].value.mark.column == 12


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("012", 12),
        ("0o14", 12),
        ("0x1F", 31),
        ("0b1", "0b1"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("~", None),
        ("Null", None),
        ("nUll", "nUll"),
        ("TRUE", True),
        ("-.inf", float("-inf")),
        ("9" * 101, "9" * 101),
        ("=", "="),
    ],
)
def test_core_types_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert core_value(text) == value
    assert type(core_value(text)) is type(value)


def test_quotes_make_text() -> None:
    assert plain(node_of("['1', \"true\", '~']")) == ["1", "true", "~"]


@pytest.mark.parametrize(
    ("text", "place", "code"),
    [
        ("a: 1\nb: 2\na: 3\n", (3, 1), "FK007"),
        ("a: !!str 1\n", (1, 4), "FK008"),
        ("a: !!python/object/apply:os.system [ls]\n", (1, 4), "FK008"),
        ("a: *b\n", (1, 4), "FK009"),
        ("a: &a\n  b: *a\n", (2, 6), "FK009"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", (3, 3), "FK009"),
        ("[" * 100_000, (1, 65), "FK010"),
        ("{a: " * 100_000, (1, 257), "FK010"),
        ("- " * 100_000, (1, 129), "FK010"),
        ("a: 1\n---\nb: 1\n", (2, 1), "FK011"),
        ("? [a]\n: b\n", (1, 3), "FK012"),
        ("a: x\x07y\n", (1, 5), "FK003"),
        ("a: x\u2028y\n", (1, 5), "FK003"),
        ('a: "x\\0y"\n', (1, 4), "FK003"),
        ("a:\n\tb: 1\n", (2, 1), "FK005"),
        ("a: {b: ${C}}\n", (1, 8), "FK006"),
        ("a: [1, 2\nb: 3\n", (1, 4), "FK004"),
        ("a: 'b\nc: 3\n", (1, 4), "FK004"),
        ("a: 1\nb c\nd: 1\n", (2, 1), "FK004"),
        ("- a: 1\n b: 2\n", (2, 2), "FK004"),
        ("a: b: c\n", (1, 5), "FK004"),
        ("a: @b\n", (1, 4), "FK004"),
        ('a: "b" c\n', (1, 8), "FK004"),
        ('a: "\\q"\n', (1, 5), "FK004"),
    ],
)
def test_what_cannot_be_read_is_refused_at_its_place(text: str, place: tuple[int, int], code: str) -> None:
    problem = refusal(text)
    assert ((problem.mark.line, problem.mark.column), problem.code) == (place, code)
    assert problem.help or code == "FK010"


def test_a_question_mark_in_a_word_is_text_within_brackets_too() -> None:
    text = "a: [Who?, Where are they?, ¿Y?, Quoi ?!, 'No?', \"?\"]\nb: {c: Really??, d?: e}\n? f\n: {? g : 1}\n"
    assert plain(node_of(text)) == {
        "a": ["Who?", "Where are they?", "¿Y?", "Quoi ?!", "No?", "?"],
        "b": {"c": "Really??", "d?": "e"},
        "f": {"g": 1},
    }


def test_a_duplicate_names_the_first_ones_line() -> None:
    assert "first on line 2" in refusal("x: 1\nname: a\ny: 2\nname: b\n").what


def test_an_alias_repeats_its_anchor() -> None:
    assert plain(node_of("a: &x [1, {b: 2}]\nc: *x\n")) == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


BOMBS = {
    "aliases": "a0: &a0 [x]\n" + "".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(12)),
    "merge keys": "a0: &a0 {x: 1}\n" + "".join(f"a{i + 1}: &a{i + 1} {{<<: [*a{i}, *a{i}]}}\n" for i in range(30)),
    "a gigabyte by alias": "a: &a " + "x" * 1_000_000 + "\nb: [" + ", ".join(["*a"] * 1000) + "]\n",
    "brackets": "[" * 100_000,
    "braces": "{" * 100_000,
    "many values": "- a\n" * 200_000,
    "many values, disputed": "- a\t\n" * 150_000,
    "one long word": "x" * 1_000_000,
    "one long quote": '"' + "x " * 500_000,
    "one long comment": "# " + "x" * 1_000_000 + "\n@",
    "colons": ": " * 400_000,
    "question marks": "? " * 400_000,
    "deep then wide": "[" * 60 + "a," * 300_000,
    "long key": "a" * 900_000 + ": 1\n@",
    "one line of spaces": "a:\n  - b" + " " * 100_000 + "c\n  d: 1\n",
    "odd spaces and quotes": "a: \u201c" + ": \u201cb \u00a0" * 20_000 + "\n",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly_or_are_none(name: str) -> None:
    started = time.perf_counter()
    _, found = parsed(BOMBS[name])
    assert time.perf_counter() - started < 10  # 2 s on an idle machine; tests run beside others
    if name != "one long word":
        assert found
        assert found[0].mark.line >= 1


def test_the_weight_of_a_file_is_bounded() -> None:
    fine = "- a\n" * (MAX_WEIGHT - 1)
    assert not parsed(fine)[1]
    assert refusal(fine + "- a\n").code == "FK002"


# -- both parsers ------------------------------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *"{}[]:-?#&*!|>%@`~,\"'\\\n\r\t =",
        ": ",
        "- ",
        "\n  ",
        "a",
        "b: c",
        "1",
        "${X}",
        "é",
        "😀",
        "---\n",
        "|\n  a\n",
        "\ufeff",
        "a?",
        "\u00a0",
        "\u201c",
        '"\\UFFFFFFFF"',
        "\n  {a: b}",
        "\n  -b",
    ]
)


def shape(node: Node | None) -> object:
    if node is None:
        return None
    if isinstance(node, Scalar):
        return (repr(node.value), node.text, node.mark[1:])
    if isinstance(node, Sequence):
        return (node.mark[1:3], [shape(item) for item in node.items])
    return (node.mark[1:3], {key: (e.key[1:], shape(e.value)) for key, e in node.entries.items()})


def outcome(text: str, loader: object) -> object:
    found: list[Problem] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parse_module, "_FAST", loader)
        node = parse(NamedText("x.yaml", text), found)
    return shape(node), [(p.code, p.mark[1:], p.message, p.help) for p in found]


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml")
@settings(max_examples=500)
@given(st.integers(0, len(BASE)), st.lists(PIECES, max_size=12), st.integers(0, 20))
def test_a_text_reads_the_same_with_and_without_libyaml(at: int, pieces: list[str], cut: int) -> None:
    for text in ("".join(pieces), BASE[:at] + "".join(pieces) + BASE[at + cut :]):
        assert outcome(text, yaml.CSafeLoader) == outcome(text, yaml.SafeLoader)
