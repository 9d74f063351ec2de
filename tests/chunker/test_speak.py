"""The spoken text, and its mapping to the original."""

from __future__ import annotations

import pytest

from flowkit.chunker import Chunk, Reason, SpeakRules
from flowkit.chunker.speak import speak


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" Plain, as it is. ", "Plain, as it is."),
        ("The **total** is _really_ ~~not~~ *5*.", "The total is really not 5."),
        ("2 * 3 is snake_case_name", "2 * 3 is snake_case_name"),
        ("## A title\n", "A title"),
        ("- one\n", "one"),
        ("1. one\n", "1. one"),
        ("- [x] done\n", "done"),
        ("> so\n> be it", "so be it"),
        ("See [the **big** guide](https://x.example/a?b) now.", "See the big guide now."),
        ("An ![image](a.png) here", "An image here"),
        ("Go to https://www.example.com/a/?b=c#d.", "Go to example.com/a."),
        ("Go to https://example.com/.", "Go to example.com."),
        ("Use `a.b(c)` now", "Use a.b(c) now"),
        ("```py\nx\n```\n", "code example"),
        ("| Plan | **Price** |\n", "Plan, Price"),
        ("|---|:--|\n| a | b |", "a, b"),
        ("Hold <break time='1s'/>on.", "Hold on."),
        ("Well done 🎉👨‍👩‍👧 now :) ok", "Well done now ok"),
        ("---\n", ""),
        ("🎉", ""),
        (r"\*so\*", "so"),
        ("a  b\n c", "a b c"),
    ],
)
def test_plain(text: str, said: str) -> None:
    assert speak(text, SpeakRules(), "code example")[0] == said


@pytest.mark.parametrize(
    ("kind", "text", "verbatim", "skipped"),
    [
        ("emphasis", "a *b* c", "a *b* c", "a b c"),
        ("heading", "# a", "# a", "a"),
        ("list", "- a", "- a", "a"),
        ("quote", "> a", "> a", "a"),
        ("link", "a [b](c) d", "a [b](c) d", "a d"),
        ("url", "a https://x.example b", "a https://x.example b", "a b"),
        ("code", "a `b` c", "a `b` c", "a c"),
        ("fence", "```\nb\n```", "```\nb\n```", ""),
        ("table", "| a | b |", "| a | b |", ""),
        ("tag", "a <i>b</i>", "a <i>b</i>", "a b"),
        ("emoji", "a 🎉 b", "a 🎉 b", "a b"),
    ],
)
def test_every_kind_can_be_said_as_written_or_not_at_all(kind: str, text: str, verbatim: str, skipped: str) -> None:
    assert speak(text, SpeakRules(**{kind: "verbatim"}), "x")[0] == verbatim  # type: ignore[arg-type]
    assert speak(text, SpeakRules(**{kind: "skip"}), "x")[0] == skipped  # type: ignore[arg-type]


def chunk(text: str) -> Chunk:
    said, marks = speak(text, SpeakRules(), "code example")
    return Chunk(text, said, 1, Reason.END, marks)


@pytest.mark.parametrize(
    ("text", "share", "heard"),
    [
        (" The capital of France is Paris.", 0.5, " The capital of"),
        ("The capital", 0, ""),
        ("The capital", -1, ""),
        ("The capital ", 1, "The capital "),
        ("The capital ", 7, "The capital "),
        ("The **total cost** is **$42.50**.", 0.6, "The **total cost**"),
        ("See [the guide](https://x.example) now.", 0.5, "See [the"),
        ("See [the guide](https://x.example) now.", 0.8, "See [the guide](https://x.example)"),
        ("```\nx = 1\n```\n", 0.9, ""),
        ("| one | two |", 0.6, "| one"),
        ("Now\rthen", 0.6, "Now"),  # any space parts words
    ],
)
def test_what_was_heard_is_whole_words_of_the_original(text: str, share: float, heard: str) -> None:
    assert chunk(text).heard(share) == heard


def test_a_chunk_without_alignment_maps_its_spoken_form_to_its_text() -> None:
    assert Chunk(" a b", "a b", 2, Reason.END).covered(1) == 2
