"""A word filter between the chunker and the TTS. Replace it by a stage of your own."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import Clause, EndOfReply, Message
from flowkit.stages.base import NOTHING, Actions, Emit, Stage


class MyStage(Stage[None]):
    """Takes clauses and emits clauses. Unwanted words are removed from the spoken text."""

    kind = "mine"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}
    replying = True

    class Options(opt.Options):
        words: tuple[str, ...] = ("damn",)
        """Words that are not spoken, in any case."""

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
        # The length is unchanged, so `marks`, which map the spoken text to the original, stay correct.
        return clause if spoken == clause.spoken else replace(clause, spoken=spoken)
