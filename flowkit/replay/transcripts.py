"""Final transcripts: when the recorded ASR gave them, and when it would have given them after another silence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from math import exp, log
from statistics import median
from typing import NamedTuple

from flowkit.messages import EndOfUtterance, Final, Message, Partial
from flowkit.replay.chance import Chance, delays_of
from flowkit.replay.material import Material, RecordedCall

_Answers = list[tuple[int, Message]]
_WHEN, _READY = "when a transcript comes", "when a transcript was ready"


class Said(NamedTuple):
    """The answers to the end of an utterance: partial transcripts and the final one, with their delays after it."""

    last_voiced: int
    answers: list[tuple[int, Partial | Final]]
    ready_us: int
    """How long after the last voiced frame the final transcript was ready at the latest."""
    after_us: int
    """From then, or from the end of the utterance if that came later, to the final transcript."""
    wait_us: int
    """From the end of the utterance to the final transcript, or from the same text as a partial one if that came later."""
    known: bool = True
    """Whether it is known when the final transcript was ready, and not only at the latest when."""
    silent_us: int = 0
    """From the last voiced frame to the end of the utterance."""

    @property
    def text(self) -> str:
        """The final transcript. An utterance whose transcript never came has none."""
        return self.answers[-1][1].text if self.answers else ""


class Finals:
    """The final transcripts by the last voiced frame of their utterance.

    Partial transcripts after the end of the utterance are kept with its final one, so that it does not overtake them.

    Most ASRs begin to work on the final transcript when the utterance has ended. Some decode ahead as soon as the user is
    quiet, and then a shorter silence does not make the transcript come sooner. Of these it is known when the transcript was
    ready: when the same text came as a partial one, or at the latest when the final one came.
    """

    def __init__(
        self, calls: Iterable[RecordedCall], material: Material, frame_us: int, chance: Chance | None = None
    ) -> None:
        self._chance = chance or Chance()
        items = [(at_us, item) for call in calls for at_us, _, item in call.items if isinstance(item, Partial | Final)]
        self._came = [(at_us, isinstance(item, Final), item.text) for at_us, item in items]
        self._frame_us = frame_us
        self._left: list[Said] = []
        self._given = ""
        self._tails: set[tuple[int, Message]] = set()
        heard = material.input
        for frame, ended_us, number in heard.utterances:
            if material.left_out(frame):
                continue
            if not (tail := _until_final(items, ended_us, number)):
                self._left.append(Said(frame, [], 0, 0, 0))
            else:
                newest = bisect_right(heard.came_us, ended_us) - 1
                self._left.append(_said(frame, ended_us - (newest - frame) * frame_us, ended_us, tail, items))
                self._tails |= set(tail)
        worded = [said for said in self._left if said.text]
        self._ready = delays_of([said.ready_us for said in worded if said.known])
        self._likely = _likely_ahead([said.wait_us for said in worded])
        self._after = delays_of([said.answers[-1][0] for said in self._left if said.answers])
        self._quiet = delays_of([said.ready_us for said in self._left if said.answers])
        """How long after the end of an utterance its transcript comes, and how long after the last voiced frame it is ready."""
        self.assumed: list[str] = []

    def answered(self, at_us: int, item: Message) -> bool:
        """Whether an item that came at `at_us` was an answer to the end of an utterance. Without a VAD there are none, and the
        ASR decides by itself."""
        return (at_us, item) in self._tails

    def answers(self, end: EndOfUtterance, last_voiced: int, silent_us: int | None = None) -> _Answers:
        """The answers to the utterance that ends with recorded frame `last_voiced`.

        `silent_us` is how long the user has been silent; None: as long as then. If a longer silence joins utterances, their
        transcripts are joined. If a shorter silence splits one, its first part gets the newest partial transcript, which is
        noted in `assumed`, and the last part gets the rest.
        """
        # With other VAD settings the same utterance may end a few frames earlier than it did.
        same = any(said.last_voiced == last_voiced for said in self._left)
        slack = 0 if same else 100_000 // self._frame_us
        taken = [said for said in self._left if said.last_voiced <= last_voiced + slack]
        self._left = self._left[len(taken) :]
        if taken:
            if not taken[-1].answers:
                return []
            *partials, (delay_us, _) = taken[-1].answers
            text = " ".join(said.text for said in taken if said.text)
            text, self._given = text.removeprefix(self._given).strip() if self._given != text else text, ""
            delay_us, modelled = self._delay_us(taken[-1], delay_us, last_voiced, silent_us)
            partials = [] if modelled else partials
            return [*partials, (delay_us, Final(text, end.utterance))]
        return self._cut(end, last_voiced, silent_us or 0)

    def _delay_us(self, said: Said, recorded_us: int, last_voiced: int, silent_us: int | None) -> tuple[int, bool]:
        """How long after the end of the utterance the transcript comes, and whether that is modelled."""
        fresh = self._chance.fresh
        other = silent_us is not None and abs(silent_us - said.silent_us) > self._frame_us
        if silent_us is None or not (other or fresh) or not self._decodes_ahead():
            return (self._after.drawn_us(self._chance, _WHEN, last_voiced) if fresh else recorded_us), False
        if fresh:
            ready_us = self._quiet.drawn_us(self._chance, _WHEN, last_voiced)
        elif said.known:
            ready_us = said.ready_us
        elif self._ready.count:  # it came with the end of the utterance, and may have been ready before
            ready_us = min(said.ready_us, self._ready.drawn_us(self._chance, _READY, last_voiced))
        else:
            ready_us = said.ready_us - self._chance.part(max(0, said.ready_us - silent_us), _READY, last_voiced)
        return max(0, ready_us - silent_us) + said.after_us, True

    def _decodes_ahead(self) -> bool:
        """Whether a shorter silence does not make the transcript come sooner."""
        return self._chance.happens(self._likely, "whether transcripts are decoded ahead")

    def _cut(self, end: EndOfUtterance, last_voiced: int, silent_us: int) -> _Answers:
        """The answer to a part of a recorded utterance."""
        spoken_us = (last_voiced + 1) * self._frame_us
        ahead = self._decodes_ahead()
        usual_us = (self._quiet if ahead else self._after).middle_us
        within_us = usual_us if ahead else silent_us + usual_us
        # Not before the last final transcript, which was of the utterance before.
        since_us = max((us for us, final, _ in self._came if final and us <= spoken_us), default=-1)
        said = (
            text for us, final, text in reversed(self._came) if not final and since_us < us <= spoken_us + within_us
        )
        text = next(said, "")
        self.assumed.append(f"utterance cut after frame {last_voiced}: {text[:40]!r} taken from a partial transcript")
        before, self._given = self._given, text
        usual_us = (self._quiet if ahead else self._after).drawn_us(self._chance, _WHEN, last_voiced)
        delay_us = max(0, usual_us - silent_us) if ahead else usual_us
        return [(delay_us, Final(text.removeprefix(before).strip(), end.utterance))]


_QUIET_US = 120_000
"""A partial transcript that comes sooner after the last voiced frame was not decoded in the quiet behind it."""
_AT_ONCE_US = 5_000
"""An ASR that gives a transcript within less had it ready."""
_STEADY, _ANY = 0.45, 1.1
"""How much the delays of an ASR vary that begins at the end of an utterance, and of one that had begun before, as the standard
deviation of their logarithm."""
_AT_ONCE, _MOST = -3.0, 3.5
"""What a transcript that comes at once counts against an ASR that begins then, and the most that all may count, as the logarithm
of the odds."""


def _said(
    frame: int,
    voiced_us: int,
    ended_us: int,
    tail: list[tuple[int, Partial | Final]],
    items: list[tuple[int, Partial | Final]],
) -> Said:
    """The answers to an utterance whose last voiced frame came at `voiced_us`."""
    final_us, final = tail[-1]
    same = [
        us
        for us, item in items
        if voiced_us + _QUIET_US < us <= final_us and isinstance(item, Partial) and item.text == final.text
    ]
    ready_us = min([*same, final_us])
    answers = [(max(0, at_us - ended_us), item) for at_us, item in tail]
    known = bool(same) or final_us > ended_us + _AT_ONCE_US
    wait_us = final_us - max(ended_us, ready_us if same else 0)
    after_us = final_us - max(ended_us, ready_us)
    return Said(frame, answers, ready_us - voiced_us, after_us, wait_us, known, ended_us - voiced_us)


def _likely_ahead(waits_us: list[int]) -> float:
    """How likely an ASR decodes ahead that took so long after the end of each utterance.

    One that begins only then takes about as long each time. What is left of a decoding that was under way may be any time, and
    often none.
    """
    late = [log(us) for us in waits_us if us > _AT_ONCE_US]
    middle = median(late) if late else 0.0
    behind = _AT_ONCE * (len(waits_us) - len(late))
    behind += max(0, len(late) - 1) * log(_ANY / _STEADY)
    behind -= sum((value - middle) ** 2 for value in late) * (_STEADY**-2 - _ANY**-2) / 2
    return 1 / (1 + exp(max(-_MOST, min(_MOST, behind))))


def _until_final(
    items: list[tuple[int, Partial | Final]], ended_us: int, number: int
) -> list[tuple[int, Partial | Final]]:
    """What came from the end of the utterance to its final transcript; empty if there was none."""
    found: list[tuple[int, Partial | Final]] = []
    for at_us, item in items:
        if isinstance(item, Final) and item.utterance == number:
            return [*found, (at_us, item)]
        if at_us >= ended_us and isinstance(item, Partial):
            found.append((at_us, item))
    return []
