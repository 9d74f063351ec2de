"""What a client outside says to a session: a program that speaks for the user, such as one that is connected to
``flowkit serve``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowkit.messages.message import Message

NEWEST = 1_000_000_000
"""Behind everything."""

# -- its speech ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CommitInput(Message):
    """The utterance ends here, whether or not there is silence. Data, a marker among the frames, mic -> vad."""


@dataclass(frozen=True, slots=True)
class ClearInput(Message):
    """What was said since the last utterance does not count. Data, a marker among the frames, mic -> vad."""


# -- turn-taking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attend(Message):
    """Who takes which turn, from now on. Control, client -> vad and gate.

    `detects`: the VAD ends utterances; if not, `CommitInput` does. `answers`: an utterance is answered; if not, the agent waits for
    `Respond`. `interrupts`: a voice interrupts the agent. `end_us` and `threshold` replace those of the VAD; 0 leaves the file's.
    """

    lane: ClassVar[str] = "C"
    detects: bool = True
    answers: bool = True
    interrupts: bool = True
    end_us: int = 0
    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class Respond(Message):
    """Reply now, to what was said and written so far. If a reply is under way, or the user speaks, reply as soon as that is
    over. Control, client -> gate.

    `instructions`, `tools` and `choice` are those of this reply alone, as in `Instruct`; empty for those of the session. `aside`:
    reply to `text` instead, and remember neither. `farewell`: say this instead, whatever was said, and end the session.
    """

    lane: ClassVar[str] = "C"
    instructions: str = ""
    aside: bool = False
    text: str = ""
    tools: str = ""
    choice: str = ""
    farewell: str = ""


@dataclass(frozen=True, slots=True)
class StopReply(Message):
    """Give up the reply, and every reply that was asked for. Control, client -> gate."""

    lane: ClassVar[str] = "C"


@dataclass(frozen=True, slots=True)
class HeardUntil(Message):
    """Of the reply in turn `number`, which is over, the user has heard `text`: the client knows better than the speaker's clock.
    0: the last one. Control, client -> gate and llm."""

    lane: ClassVar[str] = "C"
    text: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Keys(Message):
    """The user has pressed these keys of a telephone, such as ``12``. They are answered like words. Control, client -> gate."""

    lane: ClassVar[str] = "C"
    keys: str

    @property
    def text(self) -> str:
        """How the model reads them."""
        return f"[keys: {self.keys}]"


# -- the reply -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Instruct(Message):
    """From now on this is the system prompt (empty: that of the file), and these are the client's tools: a JSON array of
    objects with name, description and parameters. `choice`: what a reply calls first; as the model likes (empty), ``none``,
    ``required`` for any, or ``function NAME``. Control, client -> llm and tools."""

    lane: ClassVar[str] = "C"
    instructions: str = ""
    tools: str = ""
    choice: str = ""


@dataclass(frozen=True, slots=True)
class Remember(Message):
    """The agent, or the `user`, has said `text` before, as far as the model knows. It is an exchange with this `number`, which is
    below those of turns, behind exchange `after`: 0 for the beginning. Control, client -> llm."""

    lane: ClassVar[str] = "C"
    text: str
    user: bool = False
    number: int = -1
    after: int = NEWEST


@dataclass(frozen=True, slots=True)
class Forget(Message):
    """What the agent said in exchange `number` was never said, or `text` of what the `user` said. The number is that of a turn or
    of a `Remember`; 0: what waits for an answer. Control, client -> gate and llm."""

    lane: ClassVar[str] = "C"
    number: int
    user: bool
    text: str


@dataclass(frozen=True, slots=True)
class Mute(Message):
    """Replies are not spoken: each clause ends as soon as it begins. Control, client -> tts."""

    lane: ClassVar[str] = "C"
    on: bool


@dataclass(frozen=True, slots=True)
class Played(Message):
    """The client has played clause `clause` up to sample `sample`, and all before it. After the first such report the speaker's
    clock no longer tells what was heard, but the reports. Control, client -> speaker."""

    lane: ClassVar[str] = "C"
    clause: int
    sample: int
