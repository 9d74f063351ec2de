"""Where and when each chunk of every case is certain, character by character: exactly as it was when somebody last looked.

The scores of ``test_cases`` leave room for a cut more or less; a change of a rule that moves one cut, or delays one, shows here.
Look at what moved, then write the file anew:

    python -m tests.chunker.test_certain
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from flowkit.chunker import Chunker, Rules
from flowkit.testing.score import GoldReply, load

FOLDER = Path(__file__).parent / "cases"
CERTAIN = FOLDER / "certain.json"
MODES = {
    "clause": Rules(),
    "sentence": Rules(mode="sentence", max_tokens=80),
    "short": Rules(max_tokens=9, comma_after=4, dash_after=3),
}


def told(case: GoldReply, rules: Rules) -> Iterator[tuple[int, int, str]]:
    """For each chunk: the number of characters after which it was certain, its length, and why it ended."""
    chunker = Chunker(rules.replace(language=case.lang))
    for seen, char in enumerate(case.text, 1):
        for chunk in chunker.feed(char):
            yield seen, len(chunk.text), chunk.reason.value
    for chunk in chunker.flush():
        yield len(case.text) + 1, len(chunk.text), chunk.reason.value


def now(mode: str) -> dict[str, str]:
    """All cases in one mode, with one word per chunk."""
    return {
        f"{path.stem}/{case.id}": " ".join(
            f"{seen}:{length}:{reason}" for seen, length, reason in told(case, MODES[mode])
        )
        for path in sorted(FOLDER.glob("*.jsonl"))
        for case in load(path)
    }


@pytest.mark.parametrize("mode", MODES)
def test_every_chunk_is_certain_where_and_when_it_was(mode: str) -> None:
    known = json.loads(CERTAIN.read_text())[mode]
    moved = {name: (known.get(name), chunks) for name, chunks in now(mode).items() if known.get(name) != chunks}
    assert not moved, f"{len(moved)} cases moved, such as {dict(islice(moved.items(), 2))}"


if __name__ == "__main__":
    CERTAIN.write_text(json.dumps({mode: now(mode) for mode in MODES}, indent=0) + "\n")
