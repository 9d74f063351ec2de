"""A word filter between the chunker and the voice. Put a decision of your own in its place."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import Clause, EndOfReply, Message
from flowkit.stages.base import NOTHING, Actions, Emit, Stage


class MyStage(Stage[None]):
    """Clauses in, clauses out; words that nobody should hear are left out of what is spoken."""

    kind = "mine"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}
    replying = True

    class Options(opt.Options):
        words: tuple[str, ...] = ("damn",)
        """What is not spoken, whatever its case."""

    options: Options

    def __init__(self, options: Options, frame_us: int = 20_000) -> None:
        super().__init__(options, frame_us)
        self._bad = re.compile("|".join(map(re.escape, options.words)) or "(?!)", re.IGNORECASE)

    def fresh(self) -> None:
        return None

    def step(self, state: None, message: Message, now_us: int) -> Actions:
        if isinstance(message, Clause):
            return (Emit("clauses", self._softened(message)),)
        if isinstance(message, EndOfReply):
            return (Emit("clauses", message),)
        return NOTHING

    def _softened(self, clause: Clause) -> Clause:
        spoken = self._bad.sub(lambda word: "-" * len(word[0]), clause.spoken)
        # As long as before, so `marks`, which say what of the text was heard when, are right as they are.
        return clause if spoken == clause.spoken else replace(clause, spoken=spoken)
