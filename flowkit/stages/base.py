"""What a stage is: a pure reducer. It is handed a state, one message and the time, and returns actions.

No await, no clock, no I/O, no dice. Its state is one dataclass, made fresh by ``fresh()``; an interrupt gives every replying
stage a fresh state again. What a stage emits waits in the engine's outbox, never in a list of the stage's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias, TypeVar

from flowkit.messages import Failed, Message
from flowkit.options import Options

# -- actions: what a step may ask of the engine ------------------------------------------------------------------------


class Emit(NamedTuple):
    """Send `message` along every edge of output port `port`."""

    port: str
    message: Message


class Open(NamedTuple):
    """Open this stage's provider call (at most one at a time) with `request`."""

    request: Message


class Feed(NamedTuple):
    """Hand `item` to the open call."""

    item: Message


class EndInput(NamedTuple):
    """Nothing more will be fed to the open call; its answers are still awaited."""


class Cancel(NamedTuple):
    """Abandon the open call; what still comes from it is stale."""


class SetTimer(NamedTuple):
    """Wake this stage with ``Timer(tag)`` at `at_us`, replacing an earlier timer of that tag; None takes it back."""

    at_us: int | None
    tag: str


class RaiseEpoch(NamedTuple):
    """Everything replied so far is stale from here on; what follows belongs to turn `turn`. The gate alone asks this."""

    turn: int


class Finish(NamedTuple):
    """The session is over: `reason` is `input_ended`, `closed` or `failed: ...`."""

    reason: str


new = tuple.__new__
"""Makes an action in half the time of its own constructor; used where one is made for every frame."""

Action: TypeAlias = Emit | Open | Feed | EndInput | Cancel | SetTimer | RaiseEpoch | Finish
Actions: TypeAlias = Sequence[Action]

NOTHING: Actions = ()
PROVIDER = "provider"
"""The port by which a provider's items enter; ``accepts`` names it like any other."""

CONTROL_CONTENT = frozenset({"speech", "turn", "hold", "verdict", "progress"})
"""Content that travels out of band; all other content is data and needs a bounded edge."""

S = TypeVar("S")


def gone(last: Message, what: str) -> str:
    """Why the session's ear or mouth is gone: what its call failed with, or that it ended though the session goes on."""
    return last.what if isinstance(last, Failed) else f"the {what} stopped before the session ended"


class Stage(ABC, Generic[S]):
    """Base of all stages. `inputs` and `outputs` map a port's name to the kinds of content it takes or gives
    (``audio``, ``transcript``, ``utterance``, ``tokens``, ``clauses``, ``voice``, ``endpoint``, ``end``, and the control kinds):
    an edge is legal where they meet."""

    kind: ClassVar[str]
    inputs: ClassVar[Mapping[str, tuple[str, ...]]]
    outputs: ClassVar[Mapping[str, str]]
    replying: ClassVar[bool] = False
    """Belongs to the reply: is drained and reset by an interrupt."""
    call_scope: ClassVar[str] = "session"
    """``turn``: an interrupt cancels the provider call; ``session``: the call outlives it."""
    queue_max: ClassVar[int | None] = None
    """The bound of each edge into the stage where the file says nothing; None: that of its kind."""
    awaits_reply: ClassVar[bool] = False
    """Waits for the LLM's whole reply before it says anything (lint FK201)."""
    Options: ClassVar[type[Options]]

    def __init__(self, options: Any, frame_us: int = 20_000) -> None:
        self.options = options
        self.frame_us = frame_us
        self.everything = frozenset(self.inputs) | {PROVIDER}

    @abstractmethod
    def fresh(self) -> S:
        """The state at the session's start, and after an interrupt."""

    @abstractmethod
    def step(self, state: S, message: Message, now_us: int) -> Actions:
        """Handle one message: change `state` in place, return what follows from it."""

    def begin(self, state: S) -> Actions:
        """What the stage wants at the session's start, such as opening a session call."""
        return NOTHING

    def accepts(self, state: S) -> frozenset[str]:
        """Ports from which the stage takes data now; control it always takes."""
        return self.everything

    def reset(self, state: S) -> S:
        """The state after an interrupt; a stage that must remember across turns says here what."""
        return self.fresh()
