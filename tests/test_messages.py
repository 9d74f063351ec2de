"""Every message is immutable, has one lane, and has a form for the journal."""

import dataclasses
from typing import get_type_hints

import pytest

from flowkit import messages
from flowkit.messages import Message

ALL = sorted(
    (
        cls
        for cls in vars(messages).values()
        if isinstance(cls, type) and issubclass(cls, Message) and cls is not Message
    ),
    key=lambda cls: cls.__name__,
)
MARKERS = {"InputEnded", "EndOfUtterance", "EndOfReply", "ClauseStarted", "ClauseEnded", "Done"}
CONTROL = {
    "Interrupt", "SpeechStarted", "SpeechStopped", "Timer", "Heard", "Fault", "Failed", "Shutdown", "Hold", "Resume",
    "PlaybackStarted", "ReplyPlayed", "Credit", "Usage",
}  # fmt: skip


def made(cls: type[Message]) -> Message:
    """A message with plain values in its required fields."""
    plain = {int: 1, str: "x", float: 0.5, bool: True, bytes: b"", tuple: ()}
    hints = get_type_hints(cls)
    needed = [
        f
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    return cls(**{f.name: plain[getattr(hints[f.name], "__origin__", hints[f.name])] for f in needed})


@pytest.mark.parametrize("cls", ALL)
def test_a_message_cannot_be_changed_and_compares_by_value(cls: type[Message]) -> None:
    message = made(cls)
    assert message == made(cls)
    assert hash(message) == hash(made(cls))
    assert not hasattr(message, "__dict__")
    for field in dataclasses.fields(message):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(message, field.name, None)


@pytest.mark.parametrize("cls", ALL)
def test_a_marker_is_data_and_never_dropped_and_control_is_out_of_band(cls: type[Message]) -> None:
    assert cls.lane in ("C", "D", "P")
    if cls.__name__ in MARKERS:
        assert (cls.lane, cls.lossy) == ("D", False)
    if cls.__name__ in CONTROL:
        assert (cls.lane, cls.lossy) == ("C", False)
    if cls.lossy:
        assert cls.lane == "D"


@pytest.mark.parametrize("cls", [cls for cls in ALL if "pcm" in {f.name for f in dataclasses.fields(cls)}])
def test_sound_takes_no_part_in_comparison(cls: type[Message]) -> None:
    message = dataclasses.replace(made(cls), pcm=b"\x01\x02")  # type: ignore[call-arg]
    assert message == made(cls)
    assert "pcm" not in repr(message)


def test_every_message_says_what_it_is() -> None:
    assert all(cls.__doc__ for cls in ALL)
