"""The provider interface. A provider does a stage's work: it runs a model, calls a service or drives a device.

Every provider is a subclass of ``Provider``, in a module or package of its own. It is found by name through entry
points.

Two objects have different lifetimes:

- The *model* is what a process needs once, such as weights or a pool of connections. ``load`` makes it. Sessions with
  equal options share it.
- The *provider* belongs to one session. It is made from options, ``Surroundings`` and the model, made ready, and then
  called.

A *call* is one run of the async function ``call``. It gets the request, an iterator over the messages that the stage
feeds, and ``emit``, which waits while the stage does not accept items. Each call runs in its own cancel scope, so a
provider needs no code for cancelling: Trio raises ``Cancelled`` at the call's next checkpoint. Do slow work in a thread
that releases the GIL or in a process, because the event loop must never be blocked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flowkit.messages import Message
from flowkit.options import Options
from flowkit.providers.sound.echo import FarEnd
from flowkit.tools import ToolSpec

Emit = Callable[[Message], Awaitable[None]]
"""Pass one item to the stage. Returns when the stage has accepted it. Raises trio.Cancelled when the call is
cancelled."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The session, as far as a provider needs it: audio formats, the clock, and ways to report something."""

    input_rate_hz: int
    """Sample rate of the microphone's frames in Hz."""
    frame_us: int
    """Length of one audio frame in microseconds."""
    now_us: Callable[[], int]
    """The session's clock: microseconds since the session started."""
    notice: Callable[[str], None]
    """Show the user one line, such as the progress of loading. It appears on stderr or in the live view."""
    at_s: Callable[[int], float] = lambda at_us: at_us / 1_000_000
    """Convert a session time in microseconds into a time on Trio's clock, for absolute deadlines."""
    event: Callable[[int, str, str], None] = lambda at_us, name, detail: None
    """Record an event that is not a message, such as a lost device: session time in microseconds, name, detail."""
    ring_us: int = 1_000_000
    """How much audio a microphone may hold while the pipeline is busy, in microseconds: `ring` of the mic stage."""
    far_end: FarEnd = field(default_factory=FarEnd)
    """The audio that the speaker plays, for the microphone's echo canceller."""
    stage: Options | None = None
    """The options of its stage."""
    session: str = ""
    """The session's name, unlike that of any other."""
    tools: list[ToolSpec] = field(default_factory=list)
    """The tools that a model may call. The provider of the tools fills it before the session begins."""
    connect_us: int | None = None
    """Time limit for opening a connection in microseconds: `connect_timeout` of the stage. None: the provider's
    default."""


class Provider(ABC):
    """Base class of all providers. A subclass sets `kind`, `name` and `Options`, and implements ``call``."""

    kind: ClassVar[str]
    """The kind of stage that it serves, such as ``"tts"``."""
    name: ClassVar[str]
    """The name that a pipeline file gives as `provider`."""
    Options: ClassVar[type[Options]] = Options
    """The options that a pipeline file may give, with defaults, units and docstrings."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Top-level modules that must be importable. Otherwise the provider counts as not installed."""
    install: ClassVar[str] = ""
    """The command that installs the modules in `requires`."""
    instead: ClassVar[str] = ""
    """What else to do where it is missing, for those who do not want to install it."""
    licences: ClassVar[tuple[tuple[str, str], ...]] = ()
    """The packages and models that it uses, each with its licence: an SPDX expression, or a few words for a service."""
    variable: ClassVar[str] = ""
    """The environment variable that holds the API key, used if the option `api_key` is not given."""
    of_session: ClassVar[frozenset[str]] = frozenset()
    """Options that do not change the model: sessions that differ in these alone share it."""
    blocks: ClassVar[bool] = False
    """True if a call blocks the event loop. Lint FK205 warns about it."""
    remote: ClassVar[bool] = False
    """True if a call goes to a server. Failed calls are then retried (`retry`), and the provider is skipped after
    several failures in a row (`circuit`)."""
    continuous: ClassVar[bool] = False
    """True for a TTS that takes a whole reply in one call (``Narrate``), clause by clause, instead of one call per
    clause."""
    silent: ClassVar[bool] = False
    """True for a TTS that emits no audio, such as one that prints."""
    hears: ClassVar[bool] = False
    """True for an end-of-turn predictor that judges the sound of the turn instead of its transcript."""
    resumes: bool = False
    """True for an LLM that continues from ``Ask.said`` instead of starting its reply again. Set it only if the server
    is known to do so."""
    chooses: ClassVar[bool] = False
    """True for an LLM that heeds ``Ask.choice``: it calls some tool, or the one that is named."""
    streams: ClassVar[bool] = True
    """False for a provider that gives its whole answer at the end instead of piece by piece. Lint FK201 uses it."""
    tells_tokens: ClassVar[Mapping[str, object] | None] = None
    """The options with which an ASR or a TTS tells how many tokens a call has used, so that it can have a price by tokens: `{}` for
    any, None if it never does. Lint FK215 uses them. Of an LLM flowkit counts the tokens that it does not tell."""

    @classmethod
    def resolved(cls, options: Any, stage: Any) -> Any:
        """The options with what the provider takes from its stage's options, `stage`. Called when the plan is made."""
        return options

    @classmethod
    def languages(cls, options: Any) -> tuple[str, ...]:
        """The codes of the languages that it hears or speaks with these options, such as `en`. Lint FK210 uses them.

        Empty: any language, or it is not known which.
        """
        return ()

    @classmethod
    def check(cls, options: Any) -> None:
        """Check the options before any model is loaded: whether a file exists, whether a key is given.

        It is called for all providers first, because loading takes seconds. It must be quick. It raises the errors that
        ``load`` or ``ready`` would raise.
        """
        return None

    @classmethod
    def loads_nothing(cls, options: Any) -> bool:
        """Whether ``load`` has nothing to do with these options. Then nothing is shown of it."""
        return False

    @classmethod
    def calls_tools(cls, options: Any) -> frozenset[str]:
        """The tools that the options name: those that a scripted LLM calls."""
        return frozenset()

    @classmethod
    def no_tools(cls, options: Any) -> str:
        """Why the LLM cannot call tools with these options. Empty if it can, and if that is not known."""
        return ""

    @classmethod
    @asynccontextmanager
    async def load(cls, options: Any) -> AsyncIterator[Any]:
        """Load the model: what the process needs once and any number of sessions share.

        The context is entered before the first session and left after the last, in a task of its own. Its value becomes
        ``self.model``. Raises ProviderError with a hint.
        """
        yield None

    def __init__(self, options: Any, around: Surroundings, model: Any = None) -> None:
        """Make the provider of one session. Must be cheap: no I/O and no waiting.

        Args:
            options: An instance of ``Options``.
            around: The session.
            model: The value of ``load(options)``.
        """
        self.options = options
        self.around = around
        self.model = model

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        """Open what this session needs before it starts, such as a device or a connection, and close it after the
        session ends.

        Raises ProviderError with a hint.
        """
        yield

    async def probe(self) -> str:
        """Ask the service whether a call would succeed, for ``check --live`` and ``doctor --live``. Runs inside
        ``ready()``.

        Returns the result in a few words, or an empty string if there is no service to ask. Raises ProviderError.
        """
        return ""

    @abstractmethod
    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        """Answer one request.

        Returning ends the call with ``Done``. Raising ProviderError, or any other exception, ends it with ``Failed``.

        Args:
            request: The request, such as ``Ask`` or ``Speak``.
            fed: Yields the messages that the stage feeds, and ends when the stage ends its input.
            emit: Passes one answer to the stage.
        """
