"""The schema of a trace: JSON is read as the standard library reads it, and what is not of the types is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowkit.trace.schema import parsed

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.booleans())
@example("a\ud83d", True)
@example(2**63, True)
@example(-0.0, True)
@example(5e-324, True)
@example(0.1 + 0.2, False)
@example([[[[[[]]]]]] * 3, False)
def test_everything_is_read_as_it_was_written(value: object, escaped: bool) -> None:
    text = json.dumps(value, ensure_ascii=escaped)
    assert repr(parsed(text)) == repr(json.loads(text))
    assert escaped is False or repr(parsed(text.encode())) == repr(json.loads(text))


@given(st.binary(max_size=12))
@example(b"\xff")
@example(b"\xed\xa0\x80")
@example(b"\xc0\xaf")
def test_bytes_that_are_no_text_are_none(inner: bytes) -> None:
    line = b'["' + inner.replace(b'"', b"").replace(b"\\", b"") + b'"]'
    try:
        known = json.loads(line.decode())
    except ValueError:
        with pytest.raises(ValueError):
            parsed(line)
    else:
        assert parsed(line) == known


@given(st.text(max_size=20))
@example('{"a":1,"a":2}')
@example("[1,]")
@example("\ufeff[]")
@example(" [1] ")
@example("[1] 2")
@example("1e999")
@example("-")
def test_what_is_no_json_is_none_to_both(text: str) -> None:
    try:
        known = json.loads(text)
    except json.JSONDecodeError:
        with pytest.raises(json.JSONDecodeError):
            parsed(text)
    else:
        assert repr(parsed(text)) == repr(known)


def test_too_deep_is_an_error() -> None:
    with pytest.raises((ValueError, RecursionError)):
        parsed("[" * 100_000 + "]" * 100_000)
