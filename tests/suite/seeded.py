"""Bugs planted in flowkit, one at a time, that session tests must find. See docs/internals/seeded-bugs.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from flowkit.chunker import Chunker
from flowkit.engine import Engine
from flowkit.engine.mailbox import Envelope, Inbox
from flowkit.engine.slots import Slot
from flowkit.messages import Audio, Clause, Message
from flowkit.stages.base import Actions, Emit
from flowkit.stages.chunking import Chunking
from flowkit.stages.playback import Output, Piece, Playback, PlaybackState

Patch = pytest.MonkeyPatch


def no_epoch_check(patch: Patch) -> None:
    """Messages of an older epoch are handled, and an interrupt leaves waiting messages.

    Both, because each check alone hides the lack of the other.
    """
    handle = Engine._handle

    def trusting(self: Engine, slot: Slot, envelope: Envelope, call: int = 0) -> None:
        epoch = envelope[4]
        if slot.replying and epoch < slot.epoch:
            slot.epoch = epoch
        handle(self, slot, envelope, call)

    patch.setattr(Engine, "_handle", trusting)
    no_drain(patch)


def no_drain(patch: Patch) -> None:
    """An interrupt leaves the waiting messages in queues and outboxes."""
    patch.setattr(Engine, "_drain", lambda self, slot: None)


def no_flush(patch: Patch) -> None:
    """At the end of a reply the chunker keeps the text that it has not cut yet."""
    patch.setattr(Chunker, "flush", lambda self: [])


def relative_pacing(patch: Patch) -> None:
    """The time of each piece of audio is relative to when the previous one was sent, so each loses a millisecond."""
    placed = Playback._placed

    def early(self: Playback, state: PlaybackState, audio: Audio) -> Piece:
        if state.sound is Output.PLAYING:
            state.until_us -= 1_000
        return placed(self, state, audio)

    patch.setattr(Playback, "_placed", early)


def unbounded_queue(patch: Patch) -> None:
    """Queues have no bound."""
    init = Inbox.__init__

    def endless(self: Inbox, *args: Any) -> None:
        init(self, *args)
        self.max = 1_000_000

    patch.setattr(Inbox, "__init__", endless)


def lost_clause(patch: Patch) -> None:
    """The chunker does not emit the second clause of a reply."""
    step = Chunking.step

    def losing(self: Chunking, state: Any, message: Message, now_us: int) -> Actions:
        actions = step(self, state, message, now_us)
        return [
            a for a in actions if not (isinstance(a, Emit) and isinstance(a.message, Clause) and a.message.index == 1)
        ]

    patch.setattr(Chunking, "step", losing)


def swapped_order(patch: Patch) -> None:
    """The last two messages of a queue are swapped."""
    push = Inbox.push

    def swapping(self: Inbox, envelope: Envelope, beyond: int) -> bool:
        done = push(self, envelope, beyond)
        if done and len(self.queue) > 1:
            self.queue[-1], self.queue[-2] = self.queue[-2], self.queue[-1]
        return done

    patch.setattr(Inbox, "push", swapping)


SEEDED: Mapping[str, Callable[[Patch], None]] = {
    "no epoch check": no_epoch_check,
    "no drain": no_drain,
    "a skipped flush": no_flush,
    "relative pacing": relative_pacing,
    "an unbounded queue": unbounded_queue,
    "one clause lost": lost_clause,
    "a swapped order": swapped_order,
}
