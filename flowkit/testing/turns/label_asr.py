"""``labels``: an ASR that knows the transcripts of a recording from its labels. For languages that no embedded ASR knows."""

from __future__ import annotations

from collections.abc import Iterable

from flowkit import options as opt
from flowkit.clock import US_PER_S
from flowkit.messages import EndOfUtterance, Final, Message, Partial, SpeechStopped
from flowkit.providers.inline import Answer, InlineCall, InlineProvider
from flowkit.testing.turns.labels import UserTurn

_TAKES_US = 150_000
"""About what the embedded ASR takes for three seconds."""
_SLACK_US = 200_000


class LabelAsr(InlineProvider):
    """At each pause it gives what was said by then, with a full stop behind it, as real ASRs do wherever one stops."""

    kind = "asr"
    name = "labels"

    class Options(opt.Options):
        turns: tuple[UserTurn, ...]
        """The labels of the recording."""

    options: Options

    def open(self, request: Message) -> InlineCall:
        return InlineCall(fed=self._fed)

    def _fed(self, item: Message) -> Iterable[tuple[int, Message]]:
        if isinstance(item, SpeechStopped):
            said = self._said(item.last_voiced)
            return (Answer(_TAKES_US, Partial(said, item.last_voiced)),) if said else ()
        if isinstance(item, EndOfUtterance):
            return (Answer(0, Final(self._said(item.last_voiced), item.utterance)),)
        return ()

    def _said(self, frame: int) -> str:
        """What was said of the turn up to a frame."""
        at_s = (frame * self.around.frame_us + _SLACK_US) / US_PER_S
        turn = next((turn for turn in reversed(self.options.turns) if turn.begins <= at_s), None)
        if turn is None:
            return ""
        ends = [*(pause[0] for pause in turn.pauses), turn.ends]
        over = [part.rstrip(".?!,") for part, end in zip(turn.parts, ends, strict=False) if end <= at_s]
        return f"{' '.join(over)}." if over else ""
