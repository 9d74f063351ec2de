"""The sound of a call: 20 ms of mu-law in each message, and marks that come back when the sound before them was played.

A mark stands behind every tenth of a second and at the end of a reply. What its return means is kept here: up to which sample
of which clause the caller has heard the reply.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from flowkit.messages import Play, Played
from flowkit.serve.realtime.audio import AudioFormat, Mouth, unsent

FRAME = 160
"""Bytes of 20 ms."""
MARK_MS = 100
_SILENCE = b"\xff"
_MARKS = 200
"""How many marks are awaited: more than the speaker sends ahead and waits for. A caller who returns none must cost no memory."""


class PhoneLine:
    """What is sent to one caller. ``play`` and ``flush`` return media and marks: `bytes` of sound, and `str` names."""

    def __init__(self) -> None:
        self._mouth: Mouth | None = None
        self._rest = b""
        """Sound that is less than a frame."""
        self._lag = 0
        """How many samples of the voice were taken and have not left yet."""
        self._sent: dict[int, int] = {}
        """For each clause of the reply, how many of its samples were taken."""
        self._clause = 0
        self._marks: dict[str, Played] = {}
        self._count = 0

    def play(self, row: Play) -> Iterator[bytes | str]:
        """Sound of the reply. After a hold the engine sends again what had not sounded; the caller has it already."""
        at, pcm = max(row.first_sample, self._sent.get(row.clause, 0)), unsent(row, self._sent.get(row.clause, 0))
        if not pcm:
            return
        if self._mouth is not None and self._mouth.rate_hz != row.rate_hz:
            yield from self.flush()
        self._mouth = self._mouth or Mouth(AudioFormat.PCMU, row.rate_hz)
        self._clause, size = row.clause, 2 * row.rate_hz * MARK_MS // 1000
        for first in range(0, len(pcm), size):
            part = pcm[first : first + size]
            at += len(part) // 2
            self._sent[row.clause] = at
            yield from self._frames(self._mouth, self._mouth.sound(part), len(part) // 2)
            yield from self._mark(at - self._lag)

    def flush(self) -> Iterator[bytes | str]:
        """What is left of the reply's sound, filled up with silence. Its mark is the end of the reply."""
        if self._mouth is None:
            return
        rest = self._rest + self._mouth.sound(b"", last=True)
        self._rest = rest.ljust(-(-len(rest) // FRAME) * FRAME, _SILENCE)
        yield from self._whole()
        self._mouth, self._lag = None, 0
        yield from self._mark(self._sent[self._clause])

    def begin(self) -> None:
        """A new reply numbers its clauses from the first on."""
        self._sent.clear()

    def stop(self) -> bool:
        """Forget the reply. Returns whether the caller may still hear some of it. Twilio returns the marks of what it discards, and
        these say nothing."""
        sounding = bool(self._marks)
        self._mouth, self._rest, self._lag = None, b"", 0
        self._sent.clear()
        self._marks.clear()
        return sounding

    def returned(self, name: str) -> Played | None:
        """How far the reply has been played, now that this mark is back. None: it tells nothing new."""
        if name not in self._marks:
            return None
        for before in list(self._marks):
            played = self._marks.pop(before)
            if before == name:
                break
        return played

    def _frames(self, mouth: Mouth, sound: bytes, samples: int) -> Iterator[bytes]:
        self._rest += sound
        left = len(self._rest) // FRAME * FRAME
        self._lag += samples - left * mouth.rate_hz // AudioFormat.PCMU.rate_hz
        yield from self._whole()

    def _whole(self) -> Iterator[bytes]:
        while len(self._rest) >= FRAME:
            yield self._rest[:FRAME]
            self._rest = self._rest[FRAME:]

    def _mark(self, sample: int) -> Iterator[str]:
        # Less than nothing: so far only the end of the clause before has left.
        if sample <= 0:
            return
        self._count += 1
        name = str(self._count)
        self._marks[name] = Played(self._clause, sample)
        if len(self._marks) > _MARKS:
            del self._marks[next(iter(self._marks))]
        yield name


def payload(sound: bytes) -> str:
    """Sound as a message has it."""
    return base64.b64encode(sound).decode()
