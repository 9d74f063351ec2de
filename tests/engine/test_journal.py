"""The journal: rows as they were appended, without sound, and a digest that says whether two are the same."""

import subprocess
import sys
from dataclasses import dataclass

from flowkit.engine import Fate, Journal, Row
from flowkit.engine.journal import digest, item_digest
from flowkit.messages import Audio, Message, Token

ROW = ("llm", 1, "gate", 3, 10, 20, 1, 1, Token(0, "Hi"), Fate.HANDLED, 5)


def test_a_row_as_plain_values() -> None:
    assert Row(*ROW).plain() == ("llm", 1, "gate", 3, 10, 20, "D", "Token", 1, 1, [0, "Hi"], "", 5)


def test_sound_takes_no_part() -> None:
    row, silent = (
        Row("tts", 1, "", 0, 0, 0, 0, 0, Audio(0, 0, 160, 16_000, 160, pcm), Fate.HANDLED) for pcm in (b"12" * 160, b"")
    )
    assert row == silent
    assert digest([row]) == digest([silent])
    assert "12" not in repr(row.plain()) + repr(row)


def test_rows_are_taken_once() -> None:
    journal = Journal()
    journal.append(Row(*ROW))
    assert journal.take() == [Row(*ROW)]
    assert journal.take() == []
    journal.append(Row(*ROW))
    assert len(journal) == 2
    assert journal.rows == [Row(*ROW)]


def test_a_digest_tells_any_difference() -> None:
    rows = [Row(*ROW), Row(*ROW)._replace(n=2)]
    others = [
        rows[::-1],
        rows[:1],
        [rows[0], rows[1]._replace(handled_us=21)],
        [rows[0], rows[1]._replace(fate=Fate.STALE)],
    ]
    assert len({digest(r) for r in [rows, *others]}) == 5
    assert digest(rows) == digest(list(rows))


def test_a_digest_is_the_same_for_every_hash_seed() -> None:
    code = (
        "from flowkit.testing.sessions import *;"
        "print(heap_session(scripted_plan(mic={'speech': [{'at': '0ms', 'lasts': '100ms'}]}, asr={'utterances': ('Hi.',)},"
        " llm={'replies': ({'text': 'Hello. You.'},)})).journal.digest())"
    )
    found = set()
    for seed in ("0", "1", "4711"):
        environ = {"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        found.add(
            subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=True).stdout.strip()
        )
    assert len(found) == 1
    assert len(found.pop()) == 32


def test_a_field_that_came_later_does_not_change_the_digest_of_what_was_fed() -> None:
    @dataclass(frozen=True, slots=True)
    class Later(Message):
        frame: int
        more: bool = False

    @dataclass(frozen=True, slots=True)
    class Earlier(Message):
        frame: int

    Later.__name__ = Earlier.__name__ = "Mark"
    assert item_digest(Later(3), 7) == item_digest(Earlier(3), 7)
    assert len({item_digest(message, 7) for message in (Later(3), Later(4), Later(3, more=True))}) == 3
