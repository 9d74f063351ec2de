"""What a provider is: who does a stage's work outside. One module a provider, found by name through entry points.

What a process has once, such as weights or a pool of connections, is a provider's *model*: ``load`` makes it, and sessions with
equal options share it. A provider itself is a session's: made from options, surroundings and model, made ready, and then called.
A *call* is one async function that is handed the request, an iterator over what is fed, and ``emit``, which waits while the stage
holds items back. It runs in a cancel scope of its own, so cancelling is nothing special: the call is simply unwound at its next
checkpoint. Slow work goes to a thread that gives up the GIL or to a process; the event loop is never held.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flowkit.messages import Message
from flowkit.options import Options
from flowkit.providers.sound.echo import FarEnd

Emit = Callable[[Message], Awaitable[None]]
"""Hand one item to the stage; returns when it was accepted. Raises trio.Cancelled when the call is cancelled."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a provider may know of the session: formats, its clock, and where to tell people something."""

    input_rate_hz: int
    frame_us: int
    now_us: Callable[[], int]
    notice: Callable[[str], None]
    """One line for people, such as the progress of loading: goes to stderr or the live view."""
    at_s: Callable[[int], float] = lambda at_us: at_us / 1_000_000
    """A time of the session, in microseconds, as a time on Trio's clock: for absolute deadlines."""
    event: Callable[[int, str, str], None] = lambda at_us, name, detail: None
    """Something worth recording that is no message, such as a device that went away: time, name, detail."""
    ring_us: int = 1_000_000
    """Sound that a microphone may hold while the pipeline is busy: the mic stage's `ring`."""
    far_end: FarEnd = field(default_factory=FarEnd)
    """What the speaker sounds, for the microphone's echo canceller."""
    connect_us: int | None = None
    """Within what a connection has to stand, if the pipeline file says so (`connect_timeout`)."""


class Provider(ABC):
    """Base of all providers. Subclasses set `kind` (the stage kind served), `name`, and `Options`."""

    kind: ClassVar[str]
    name: ClassVar[str]
    Options: ClassVar[type[Options]] = Options
    requires: ClassVar[tuple[str, ...]] = ()
    """Top-level modules that must be importable, else the provider counts as not installed."""
    install: ClassVar[str] = ""
    """The command that installs what `requires` names."""
    variable: ClassVar[str] = ""
    """The environment's variable that holds the key, where `api_key` is not given."""
    blocks: ClassVar[bool] = False
    """True if a call holds the event loop (lint FK205 warns of it)."""
    remote: ClassVar[bool] = False
    """Asks a server: failed calls are tried again (`retry`), and it is left out after failures in a row (`circuit`)."""
    continuous: ClassVar[bool] = False
    """A voice that takes a whole reply in one call (``Narrate``), clause by clause, instead of one call a clause."""
    resumes: bool = False
    """An LLM that goes on from ``Ask.said`` instead of beginning its reply again: to be said of servers that are known to."""
    streams: ClassVar[bool] = True
    """Gives its answer piece by piece, not as one whole at its end (lint FK201 asks)."""

    @classmethod
    def check(cls, options: Any) -> None:
        """What can be known of the options before anything is loaded: a file that is missing, a key. Asked of every provider first,
        for a model takes seconds to load. Quick; raises what ``load`` or ``ready`` would."""
        return None

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Any]:
        """What the process has once, ready to be used by any number of sessions: entered before the first of them, left behind
        the last, in a task of its own. Raises ProviderError with a hint."""
        yield None

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        """A session's. `model` is what ``load(options)`` gave. Cheap: no I/O, nothing that waits."""
        self.options = options
        self.around = around
        self.model = model

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open what the session needs for itself before it starts, close it after it ends. Raises ProviderError with a hint."""
        yield

    async def probe(self) -> str:
        """Ask whoever does the work whether it would work: for ``check --live`` and ``doctor --live``, inside ``ready()``. Returns
        what was found, in a few words, or nothing where there is nobody to ask. Raises ProviderError."""
        return ""

    @abstractmethod
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        """Answer `request`. `fed` yields what the stage feeds and ends when it ends its input. Returning means Done;
        raising ProviderError (or anything else) means Failed."""
