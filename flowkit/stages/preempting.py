"""Answers that are begun before the user's turn is over: when to ask, and for what. Pure.

The request is made when the end is likely. What comes of it waits behind the gate: playback is held, and tools do not run.
If the turn then ends with the same question, the answer is released. If not, it is given up, and nothing of it is left.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pydantic import Field

from flowkit import options as opt
from flowkit.messages import Partial, Prediction, Utterance


class Preempt(opt.Options):
    """When the model is asked before the user's turn is over."""

    at: float = Field(default=0.7, ge=0, le=1)
    """How likely the turn must have ended, by the most certain stage of kind `turn`. With 0 the words alone decide."""
    stable_for: opt.Duration = opt.us("50ms")
    """How long the transcript, and what is predicted of it, must have stayed the same."""
    max_tries: int = Field(default=2, ge=1, le=10)
    """How many answers may be begun early in one turn of the user. All but the last are thrown away."""


@dataclass(slots=True)
class EarlyAsk:
    """What may be the user's question, as far as it is known.

    Args:
        text: the newest partial transcript, up to frame `until`.
        likely: how likely the turn ends with it, by predictor.
        asked: what the model was asked early, or None.
        tries: how often it was.
    """

    text: str = ""
    until: int = -1
    likely: dict[str, float] = field(default_factory=dict)
    asked: Utterance | None = None
    tries: int = 0

    def heard(self, partial: Partial) -> bool:
        """Take a transcript. Returns whether it says something else than the one before."""
        text, self.until = partial.text.strip(), partial.until
        if text == self.text:
            return False
        self.text, self.likely = text, {}
        return True

    def predicted(self, prediction: Prediction) -> None:
        """Take a prediction, unless it is about an earlier transcript."""
        if prediction.until < 0 or prediction.until == self.until:
            self.likely[prediction.by] = prediction.p

    def ends(self, wish: Preempt) -> bool:
        """Whether the turn is likely to end with this text."""
        best = max(self.likely.values(), key=lambda p: abs(p - 0.5), default=0.0)
        return bool(self.text) and best >= wish.at
