"""Durations always have a unit, and can be read back as they are written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flowkit.options import Duration, Options, format_duration, parse_duration, us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8ms", 8_000),
        ("2s", 2_000_000),
        ("1.5s", 1_500_000),
        ("7us", 7),
        ("1min", 60_000_000),
        (" 3ms ", 3_000),
        ("2h", 7_200_000_000),
        ("30d", 2_592_000_000_000),
    ],
)
def test_a_duration_has_a_unit(text: str, expected: int) -> None:
    assert parse_duration(text) == expected == us(text)


@pytest.mark.parametrize("value", [200, 1.5, "200"])
def test_a_bare_number_names_both_readings(value: object) -> None:
    with pytest.raises(ValueError, match=f"write {value}ms or {value}s"):
        parse_duration(value)


@pytest.mark.parametrize("value", ["", "ms", "-3ms", "3 ms", "3m", "1e3ms", True, None, "soon"])
def test_anything_else_is_told_what_a_duration_is(value: object) -> None:
    with pytest.raises(ValueError, match="a duration"):
        parse_duration(value)


@pytest.mark.parametrize(
    "value", ["9" * 400 + "s", "9" * 400 + "." + "9" * 400 + "ms", "1" + "0" * 30 + "us", "367d", "9000h"]
)
def test_a_duration_has_an_end(value: str) -> None:
    with pytest.raises(ValueError, match="at most 366 days"):
        parse_duration(value)
    with pytest.raises(ValueError, match=r"needs a unit: write 9{40}ms"):
        parse_duration("9" * 400)


@pytest.mark.parametrize("value", ["٣ms", "3\u2009ms", "1_000ms", "0x10ms", "1e3ms", "+3ms", "nanms", "infs"])
def test_a_duration_is_written_in_plain_digits(value: str) -> None:
    with pytest.raises(ValueError, match="a duration is"):
        parse_duration(value)


@given(st.integers(0, 10**13))
def test_what_is_written_is_read_back(value: int) -> None:
    assert parse_duration(format_duration(value)) == value


class Some(Options):
    wait: Duration = us("400ms")


def test_unknown_keys_are_errors_and_values_do_not_change() -> None:
    assert Some(wait="1s").wait == 1_000_000  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Some.model_validate({"wiat": "1s"})
    with pytest.raises(ValidationError):
        Some().wait = us("1s")


def test_defaults_are_written_as_they_are_read() -> None:
    assert Some().model_dump() == {"wait": "400ms"}
    assert Some.model_validate(Some().model_dump()) == Some()
