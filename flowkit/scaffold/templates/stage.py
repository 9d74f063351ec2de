"""A word filter between the chunker and the TTS. Replace it by a stage of your own."""

from __future__ import annotations

import re
from typing import ClassVar

from flowkit import options as opt
from flowkit.messages import Clause, EndOfReply, Message
from flowkit.stages.base import NOTHING, Actions, Emit, Stage
from flowkit.stages.spoken import respoken


class MyStage(Stage[None]):
    """Takes clauses and emits clauses. Something else is spoken in place of unwanted words."""

    kind = "mine"
    inputs: ClassVar[dict[str, tuple[str, ...]]] = {"clauses": ("clauses",), "turn": ("turn",)}
    outputs: ClassVar[dict[str, str]] = {"clauses": "clauses"}
    replying = True

    class Options(opt.Options):
        words: tuple[str, ...] = ("damn",)
        """Whole words that are not spoken, in any case."""
        instead: str = "beep"
        """What is spoken instead."""

    options: Options

    def __init__(self, options: Options, frame_us: int = 20_000) -> None:
        super().__init__(options, frame_us)
        words = "|".join(map(re.escape, options.words)) or "(?!)"
        self._unwanted = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)

    def fresh(self) -> None:
        return None

    def step(self, state: None, message: Message, now_us: int) -> Actions:
        if isinstance(message, Clause):
            return (Emit("clauses", respoken(message, self._unwanted, self.options.instead)),)
        if isinstance(message, EndOfReply):
            return (Emit("clauses", message),)
        return NOTHING
