"""Showing a pipeline: as a file that reads back, and as pictures."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowkit.config import Config, Unset
from flowkit.config.emit import to_yaml
from flowkit.config.nodes import plain
from flowkit.config.parse import parse
from flowkit.config.text import NamedText
from flowkit.plan.draw import ascii_art, dot, mermaid
from flowkit.plan.graph import Plan
from flowkit.plan.resolve import draw
from flowkit.plan.show import show
from flowkit.plan.svg import svg
from tests.config.helpers import BASE, reading
from tests.plan.test_graph_checks import SPOKEN

FULL = (
    SPOKEN.replace("kind: chunker", "kind: chunker, first: {min_tokens: 4}, never_split: ['a, b', 'no']")
    .replace("provider: print", "provider: print, first_token_timeout: 3s, retry: {max: 2}, queue: {max: 5}")
    .replace("provider: canned", "provider: canned, text: 'null', failover: [{provider: canned, text: \"a\\nb: #c\"}]")
    + "name: clinic\ninterrupt: {speech_for: 90ms}\nbudgets: {ttfa: {p50: 600ms}}\n"
    + "tests: [{name: x, chunker: {feed: ['1', b], expect: ['1b']}}]\n"
)


def shown(text: str, *, origin: bool = False, defaults: bool = True) -> tuple[Config, Plan, str]:
    found = reading(text, unset=Unset.KEEP)
    assert not found.problems, [str(p) for p in found.problems]
    plan = draw(found.config).plan
    return found.config, plan, show(found.config, plan, origin=origin, defaults=defaults)


@pytest.mark.parametrize("text", [BASE, SPOKEN, FULL])
@pytest.mark.parametrize("origin", [True, False])
@pytest.mark.parametrize("defaults", [True, False])
def test_what_is_shown_reads_back_to_the_same_plan(text: str, origin: bool, defaults: bool) -> None:
    config, plan, written = shown(text, origin=origin, defaults=defaults)
    again, plan_again, _ = shown(written)
    assert plan_again.stages == plan.stages
    assert set(plan_again.edges) == set(plan.edges)
    assert again.top.model_copy(update={"interrupt": None, "name": None}) == config.top.model_copy(
        update={"interrupt": None, "name": None}
    )


def test_every_default_is_shown_and_every_origin() -> None:
    _, _, written = shown(FULL, origin=True)
    rows = [row.split() for row in written.splitlines()]
    assert ["max_tokens:", "30", "#", "default"] in rows
    assert ["speech_for:", "90ms", "#", "x.yaml:12:25"] in rows
    assert ["first_item_timeout:", "3s", "#", "x.yaml:9:55"] in rows


def test_without_defaults_only_what_is_set_is_shown() -> None:
    _, _, written = shown(BASE, defaults=False)
    assert written.split() == re.sub(r"[{},]", " ", BASE.replace("{kind", "kind")).split()
    assert "default" not in shown(FULL, origin=True, defaults=False)[2]


def test_secrets_are_masked_and_references_kept() -> None:
    text = BASE.replace("provider: print", 'provider: robot, api_key: s3cret, voice: "${VOICE}"')
    _, _, written = shown(text, origin=True)
    assert "s3cret" not in written
    assert 'api_key: "***"' in written
    assert 'voice: "${VOICE}"' in written


def test_the_pictures_name_every_stage_and_bound() -> None:
    _, plan, _ = shown(FULL)
    for picture in (ascii_art(plan), mermaid(plan), dot(plan), svg(plan)):
        assert "5 block" in picture
        assert all(stage.id in picture for stage in plan.stages)
    ElementTree.fromstring(svg(plan))


def test_an_endless_queue_is_drawn_as_one() -> None:
    _, plan, written = shown(BASE.replace("kind: chunker", "kind: chunker, queue: {max: unbounded}"))
    assert "[no bound]" in ascii_art(plan)
    assert "max: unbounded" in written


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), VALUES, max_size=5))
def test_whatever_is_written_reads_back(value: dict[str, object]) -> None:
    if "\0" in str(value) or "\\x00" in repr(value) or not value:
        return
    problems: list = []  # type: ignore[type-arg]
    node = parse(NamedText("x", to_yaml(value)), problems)
    assert not problems
    assert node is not None
    assert plain(node) == value
