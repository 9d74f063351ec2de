"""Work in proportion to input: how long the chunker and the words take when a text doubles, for texts that once held up a loop.

Each text is made of one piece again and again, and is fed whole and a character at a time. `growth`: the time of the longest text
over that of one half as long, the smaller of two attempts; about 2 where work grows in proportion, 4 where with the square.
All is processor time. Prints JSON; fails if anything grows more than `MOST` times.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from flowkit.chunker import Chunker, Rules
from flowkit.stages.repeats import Repeats
from flowkit.stages.unspoken import SpokenText
from flowkit.words import sounded, spoken_until, words

LENGTH = 16_000
"""Characters of the longest text."""
MOST = 3.0
PIECES = {
    "prose": "The capital of France is Paris, and it is old. ",
    "words without a mark": "word ",
    "one word": "a",
    "newlines": "\n",
    "newlines and spaces": "\n ",
    "spaces": " ",
    "tabs": "\t",
    "full stops": ".",
    "spaced full stops": " .",
    "exclamation marks": "!",
    "commas": ",",
    "dashes": " - ",
    "digits": "1",
    "numbers": "3.14 ",
    "initials": "A. ",
    "list markers": "1.\n",
    "bullets": "- \n",
    "opening brackets": "(",
    "brackets": "()",
    "quotes": '"',
    "opening quotes": "«",
    "backticks": "`",
    "open fence": "```\n",
    "tildes": "~",
    "tags": "<",
    "links": "[a](",
    "braces": "{",
    "stars": "*",
    "tables": "|-",
    "headings": "# ",
    "emoji": "👍",
    "flags": "🇩🇪",
    "joined emoji": "👩\u200d",
    "combining marks": "\u0301",
    "joiners": "\u200d",
    "smileys": ":-) ",
    "urls": "http://",
    "ideographs": "今日",
    "wide marks": "「。",
    "thai": "สวัสดี",
    "arabic": "مرحبا ",
    "thoughts": "<think>",
    "half a thought": "<thin",
    "NUL": "\0",
}


def whole(text: str) -> None:
    chunker = Chunker()
    chunker.feed(text)
    chunker.flush()


def by_character(text: str) -> None:
    chunker = Chunker()
    for char in text:
        chunker.feed(char)
        chunker.pending()
        chunker.likely()
    chunker.flush()


def stalling(text: str) -> None:
    chunker = Chunker(Rules(max_tokens=100))
    for at in range(0, len(text), 50):
        chunker.feed(text[at : at + 50])
        chunker.stall()
    chunker.flush()


def thinking(text: str) -> None:
    reply = SpokenText()
    for char in text:
        reply.feed(char)
    reply.end()


def repeating(text: str) -> None:
    repeats = Repeats(text, resumes=True)
    for char in text:
        repeats.feed(char)


def counting(text: str) -> None:
    found = words(text)
    sounded(text, 0.9)
    spoken_until(text, [text[word.start : word.end] for word in found])


WORK: dict[str, Callable[[str], None]] = {
    "whole": whole,
    "by_character": by_character,
    "stalling": stalling,
    "thoughts": thinking,
    "repeats": repeating,
    "words": counting,
}


def took_ms(work: Callable[[str], None], text: str) -> float:
    began = time.process_time()
    work(text)
    return (time.process_time() - began) * 1000


def measured(work: Callable[[str], None], piece: str) -> dict[str, float]:
    """Milliseconds of the longest text, and how much more that is than of half of it."""
    text = (piece * LENGTH)[:LENGTH]
    halves, wholes = zip(*((took_ms(work, text[: LENGTH // 2]), took_ms(work, text)) for _ in range(2)), strict=True)
    return {"ms": round(min(wholes), 1), "growth": round(min(wholes) / max(min(halves), 0.5), 2)}


def main() -> int:
    figures = {name: {how: measured(work, piece) for how, work in WORK.items()} for name, piece in PIECES.items()}
    steep = {
        f"{name}, {how}": figure["growth"]
        for name, row in figures.items()
        for how, figure in row.items()
        if figure["growth"] > MOST
    }
    print(
        json.dumps(
            {"python": platform.python_version(), "characters": LENGTH, "figures": figures, "steep": steep}, indent=1
        )
    )
    return 1 if steep else 0


if __name__ == "__main__":
    sys.exit(main())
