"""When a recording cannot tell what a change would do, and what to record instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from flowkit.clock import whole_ms
from flowkit.figures.outlook import TurnOdds
from flowkit.figures.report import Report
from flowkit.plural import counted
from flowkit.replay.manifest import ANSWERS, REPLIES, TRANSCRIPTS, VOICE, Manifest, imported
from flowkit.stages.endpointing import Endpointing, least

if TYPE_CHECKING:
    from flowkit.replay.simulate import Prepared

_MOST_UNSURE, _MOST_MODELLED = 0.5, 0.75
"""The share of turns that may be uncertain, and of clauses that may be modelled. How long a clause sounds is known well from
its length, so more of them may be."""
_FEWEST_TURNS = 2


def refusal(prepared: Prepared, report: Report, odds: Sequence[TurnOdds] | None, manifest: Manifest) -> Iterator[str]:
    """Why no prediction is made; nothing if one can be. `odds`: how likely its turns are; None if there was nothing to draw."""
    needed = {"vad": ANSWERS, "asr": TRANSCRIPTS, "llm": REPLIES, "tts": VOICE}
    if prepared.plan.silent:
        del needed["tts"]
    better = "the conversation with flowkit" if imported(prepared.trace) else "a conversation that has them"
    for kind, entry in needed.items():
        if prepared.plan.only(kind) is not None and manifest.lacks(entry):
            yield f"the trace has no {entry}: record {better}"
    if odds is not None and len(prepared.then) < _FEWEST_TURNS:
        yield f"the recording has fewer than {_FEWEST_TURNS} turns: record a longer conversation"
    if report.modelled_share > _MOST_MODELLED:
        yield f"{report.modelled_share:.0%} of the clauses would be modelled: record a conversation with this change"
    unsure = [one for one in odds or () if not one.sure]
    if len(unsure) > _MOST_UNSURE * max(1, len(odds or ())):
        told = f"{len(unsure)} of {counted(len(odds or ()), 'turn')}"
        yield f"{told} might be otherwise: record a conversation with this change, or change less"
    yield from _beyond(prepared)


def _beyond(prepared: Prepared) -> Iterator[str]:
    """A silence that is longer than the recorded setting and any in the recording: what the user would do in it is nowhere to be
    seen."""
    vad, then = prepared.plan.only("vad"), prepared.recorded.only("vad")
    if vad is None or prepared.user is None or not isinstance(vad.options, Endpointing.Options):
        return
    ends_us, frame_us = least(vad.options.end), prepared.plan.frame_us
    if then is not None and isinstance(then.options, Endpointing.Options) and ends_us <= least(then.options.end):
        return
    pieces = prepared.user.pieces
    longest_us = max((b.first - a.last - 1 for a, b in pairwise(pieces)), default=0) * frame_us
    if ends_us > longest_us:
        yield (
            f"the user was never silent for more than {whole_ms(longest_us)} ms, and "
            f"stages.{vad.id}.end is {whole_ms(ends_us)} ms: record a conversation with a longer silence"
        )
