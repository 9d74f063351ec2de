"""What a pipeline file may contain besides the options of its stages: one pydantic model per block, each key with unit
and default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from flowkit import options as opt
from flowkit.config.budgets import Budgets
from flowkit.config.prices import Price
from flowkit.config.serve import Serve
from flowkit.config.tests import Case
from flowkit.stages.gate_options import Greeting, Idle
from flowkit.stages.interrupting import Backchannel, While
from flowkit.tools import Tool, unequal

VERSION = 1
"""The version of the language, written as ``flowkit: 1``."""


def _form(pattern: str, words: str) -> tuple[AfterValidator, WithJsonSchema]:
    """Text of a certain form, which errors and editors describe with these words."""

    def fitting(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise PydanticCustomError(
                "string_pattern_mismatch", "must be {words}", {"pattern": pattern, "words": words}
            )
        return text

    schema = {"type": "string", "pattern": pattern, "patternErrorMessage": f"must be {words}"}
    return AfterValidator(fitting), WithJsonSchema(schema)


Name = Annotated[str, *_form(r"^[A-Za-z_][A-Za-z0-9_-]*$", "a word of letters, digits, _ and -, without spaces")]


class WhenFull(StrEnum):
    """What an edge does with a message when it is full."""

    BLOCK = "block"
    DROP_OLDEST = "drop_oldest"
    DROP_NEWEST = "drop_newest"
    ERROR = "error"


class Queue(opt.Options):
    """How much may wait on each edge into a stage."""

    max: int | None = Field(default=None, ge=1, le=100_000)
    """How many messages may wait (frames, tokens or clauses, depending on what the stage takes); the default depends on
    the stage's kind."""
    when_full: WhenFull = WhenFull.BLOCK
    """`block`: the sender waits; `drop_oldest`, `drop_newest`: content is dropped, markers never; `error`: the session
    ends."""


class Retry(opt.Options):
    """Retrying a failed call, within the turn's deadline."""

    max: int = Field(default=0, ge=0, le=10)
    """Attempts after the first."""
    backoff: opt.Duration = opt.us("200ms")
    """Wait before the second attempt; doubled for each further one."""
    jitter: float = Field(default=0.2, ge=0, le=1)
    """Random share of the wait."""


class Circuit(opt.Options):
    """Leaving out a provider that keeps failing."""

    open_after: int = Field(default=3, ge=1, le=100)
    """Failures in a row after which the provider is left out."""
    probe_every: opt.Duration = opt.us("30s")
    """How often it is tried again."""


class CallOptions(opt.Options):
    """Deadlines of a provider's calls. A stage whose provider misses one fails over, if it has a failover list."""

    connect_timeout: opt.Duration | None = None
    """Until the connection is open, for a provider that asks a server; 5s by default."""
    first_item_timeout: opt.Duration | None = None
    """Until the first useful item, of an asr from the end of an utterance on; 10s for llm and tts, none for others. Also written
    `first_token_timeout`."""
    idle_timeout: opt.Duration | None = None
    """Between two items; 10s for llm and tts, none for others. Not for asr."""
    retry: Retry | None = None
    """Retrying a failed call; for asr, llm and tts."""
    circuit: Circuit | None = None
    """Leaving the provider out after failures in a row; for asr, llm and tts."""
    price: Price | None = None
    """What the provider costs; for asr, llm and tts. Reports then say what a turn and a session cost."""


class Wiring(opt.Options):
    """The keys of every stage, whatever its kind."""

    id: Name | None = Field(default=None, max_length=64)
    """Name of the stage in `from`, `--set`, traces and reports; defaults to its kind."""
    source: str | tuple[str, ...] | None = Field(default=None, alias="from")
    """Id of the stage (or a list of ids) that feeds this one; defaults to the nearest stage before it that fits."""
    queue: Queue = Queue()
    """How much may wait on each edge into this stage."""
    allow: tuple[str, ...] = ()
    """Codes of lint rules that this stage breaks on purpose, such as [FK203]."""


class InterruptOptions(opt.Options):
    """What counts as an interruption, and what the history keeps of the reply after one."""

    speech_for: opt.Duration | None = None
    """How long a voice must last to interrupt the agent; a shorter one is withdrawn. Default 120ms."""
    min_words: int | None = Field(default=None, ge=0)
    """How many recognised words an interruption needs; 0 (default) decides by the voice alone."""
    ignore: tuple[str, ...] | None = None
    """Words and phrases that never interrupt on their own. If there are any, an interruption waits for words. By default
    the backchannels of the language that the agent speaks, as far as that is known; [] for none."""
    backchannel: Backchannel | None = None
    """What a voice does until it is known whether it interrupts: hold (default) makes the agent silent, ignore does not."""
    level: float | None = Field(default=None, ge=0, le=1)
    """Probability that a voice must reach to interrupt, unless it lasts for a second. Default 0.95."""
    always_for: opt.Duration | None = None
    """Where words decide: how long a voice must last to interrupt whatever they are. Default 1200ms."""
    resume_after: opt.Duration | None = None
    """How long a hold may wait for confirmation before the agent resumes. Default 1500ms."""
    join_words: int | None = Field(default=None, ge=0)
    """How many words of questions interrupted before any answer are asked again with the next one. Default 200."""
    history: Literal["heard", "generated"] | None = None
    """What the model's history keeps of each reply: what the user `heard` (default), or all that was `generated`."""
    by_state: While | None = Field(default=None, alias="while")
    """Other values while the agent is in a state: greeting, thinking, tool or speaking."""


OF_INTERRUPT: Mapping[str, tuple[str, ...]] = {
    "vad": ("speech_for", "level"),
    "gate": ("min_words", "ignore", "backchannel", "always_for", "resume_after", "join_words", "while"),
    "llm": ("history",),
}
"""Which kinds of stages have the keys of `interrupt` as their own, under a shorter name."""


class SessionLimits(opt.Options):
    """What may become large."""

    session: opt.Duration | None = None
    """How long a session may last. No limit by default."""
    tool_rounds: int | None = Field(default=None, ge=1, le=100)
    """How often a reply may call tools before the model is asked to answer without them. Default 5."""


OF_LIMITS: Mapping[str, tuple[str, ...]] = {"gate": ("session",), "llm": ("tool_rounds",)}
"""The same for `limits`."""
WHOLE: Mapping[str, str] = {"greeting": "gate", "idle": "gate", "tools": "tools"}
"""Blocks that a kind of stage has as an option of the same name."""


class Redact(opt.Options):
    """What a trace may keep of the conversation."""

    keep: tuple[Literal["transcripts", "tokens", "clauses", "tools", "errors", "events", "config", "audio"], ...] = ()
    """Kinds of content to keep, such as [clauses]; all others are masked."""


class TraceOptions(opt.Options):
    """The recording of each session."""

    dir: str = "traces/live"
    """Folder for traces."""
    audio: bool = True
    """Record the audio beside the messages."""
    redact: Redact | None = None
    """Mask all content that is not listed here; without this block nothing is masked."""
    mode: opt.FileMode = opt.PRIVATE_MODE
    """Who may read a trace and its sound once the session is over, as for chmod: 0640 adds the group. By default, and until then,
    only their owner."""
    keep: opt.Duration | None = None
    """How long traces stay in `dir`, such as 30d. Older ones are removed when a host begins, and every ten minutes;
    traces with expectations stay, and those with a name of your own."""
    at_most: opt.Size | None = None
    """How much room the traces in `dir` may take with their sound, such as 5GB. The oldest are removed first."""


class ShutdownOptions(opt.Options):
    """The end of a session."""

    grace: opt.Duration = opt.us("2s")
    """How long providers may take to end their calls. Calls that still run then are cancelled."""


class Top(opt.Options):
    """The blocks besides `stages`."""

    name: str | None = None
    """Name of the pipeline in traces and reports; defaults to the file's name."""
    interrupt: InterruptOptions = InterruptOptions()
    """What counts as an interruption."""
    greeting: Greeting | None = None
    """What the agent says when the session begins."""
    idle: Idle | None = None
    """What the agent does when nobody says anything."""
    limits: SessionLimits = SessionLimits()
    """What may become large."""
    tools: Annotated[tuple[Tool, ...], AfterValidator(unequal)] = ()
    """What the model may call."""
    budgets: Budgets = Budgets()
    """How fast the pipeline has to be, and what it may cost."""
    currency: Annotated[str, *_form(r"^[A-Z]{3}$", "three capital letters, such as USD")] = "USD"
    """Of all prices in the file."""
    trace: TraceOptions = TraceOptions()
    """The recording of each session."""
    shutdown: ShutdownOptions = ShutdownOptions()
    """The end of a session."""
    serve: Serve = Serve()
    """How `flowkit serve` offers the pipeline to clients."""
    tests: tuple[Case, ...] = ()
    """The tests of this pipeline."""


APART = ("flowkit", "stages", "defaults", "include")
"""Keys of the top level that are read before `Top` and separately."""
