"""What a stage is: a pure reducer. It takes a state, one message and the time, and returns actions.

No await, no clock, no I/O, no randomness. Its state is one dataclass, made by ``fresh()``. An interrupt gives every
replying stage a fresh state. What a stage emits waits in the engine's outbox, never in a list of the stage.
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
    """Feed `item` to the open call."""

    item: Message


class EndInput(NamedTuple):
    """Nothing more will be fed to the open call. Its answers are still awaited."""


class Cancel(NamedTuple):
    """Abandon the open call. What still comes from it is stale."""


class SetTimer(NamedTuple):
    """Wake this stage with ``Timer(tag)`` at `at_us`, replacing an earlier timer with this tag; None removes it."""

    at_us: int | None
    tag: str


class RaiseEpoch(NamedTuple):
    """Everything replied so far is stale from here on. What follows belongs to turn `turn`. Only the gate asks for
    this."""

    turn: int


class Finish(NamedTuple):
    """The session is over: `reason` is `input_ended`, `closed` or `failed: ...`."""

    reason: str


new = tuple.__new__
"""Makes an action in half the time of its own constructor. Used where every frame makes one."""

Action: TypeAlias = Emit | Open | Feed | EndInput | Cancel | SetTimer | RaiseEpoch | Finish
Actions: TypeAlias = Sequence[Action]

NOTHING: Actions = ()
DEADLINES = frozenset({"first_item_timeout", "idle_timeout"})
AGAIN = frozenset({"retry", "circuit"})
"""Options of a provider call (``config.schema.CallOptions``): how long its items may take; what happens when it has failed."""
PROVIDER = "provider"
"""The port through which a provider's items enter. ``accepts`` names it like any other."""

CONTROL_CONTENT = frozenset({"speech", "prediction", "turn", "hold", "verdict", "progress", "calls", "outcomes"})
"""Content that travels out of band. All other content is data and needs a bounded edge."""

S = TypeVar("S")


def gone(last: Message, what: str) -> str:
    """Why the input or output of the session is gone: the failure of its call, or that it ended although the session
    goes on."""
    return last.what if isinstance(last, Failed) else f"the {what} stopped before the session ended"


class Stage(ABC, Generic[S]):
    """Base of all stages. `inputs` and `outputs` map the name of a port to the kinds of content that it takes or gives
    (``audio``, ``transcript``, ``utterance``, ``tokens``, ``clauses``, ``voice``, ``endpoint``, ``end``, and the
    control kinds). An edge is valid where they meet."""

    kind: ClassVar[str]
    inputs: ClassVar[Mapping[str, tuple[str, ...]]]
    outputs: ClassVar[Mapping[str, str]]
    replying: ClassVar[bool] = False
    """Belongs to the reply: an interrupt drains and resets it."""
    call_scope: ClassVar[str] = "session"
    """``turn``: an interrupt cancels the provider call; ``session``: the call outlives it."""
    call_keys: ClassVar[frozenset[str]] = DEADLINES
    """Which of these options its calls obey. `AGAIN`: a call that failed may be made again, or handed over to another provider."""
    queue_max: ClassVar[int | None] = None
    """The bound of each edge into the stage, unless the file sets one; None: that of its kind."""
    awaits_reply: ClassVar[bool] = False
    """Waits for the LLM's whole reply before it emits anything (lint FK201)."""
    Options: ClassVar[type[Options]]

    def __init__(self, options: Any, frame_us: int = 20_000) -> None:
        self.options = options
        self.frame_us = frame_us
        self.everything = frozenset(self.inputs) | {PROVIDER}

    @classmethod
    def takes_data(cls) -> bool:
        """Whether anything that needs a queue enters the stage."""
        return any(kind not in CONTROL_CONTENT for kinds in cls.inputs.values() for kind in kinds)

    @abstractmethod
    def fresh(self) -> S:
        """The state at the start of the session, and after an interrupt."""

    @abstractmethod
    def step(self, state: S, message: Message, now_us: int) -> Actions:
        """Handle one message: change `state` in place and return the actions that follow."""

    def begin(self, state: S) -> Actions:
        """What the stage does at the start of the session, such as opening a session call."""
        return NOTHING

    def accepts(self, state: S) -> frozenset[str]:
        """The ports from which the stage takes data now. It always takes control."""
        return self.everything

    def stale(self, state: S, item: Message) -> bool:
        """Whether a provider's item belongs to work that was given up. The stage does not get it."""
        return False

    def reset(self, state: S) -> S:
        """The state after an interrupt. A stage that must remember something across turns overrides this."""
        return self.fresh()
