"""What ``tests:`` may hold: chunker cases, and sessions with something injected and expectations on the outcome."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from flowkit import options as opt
from flowkit.config.budgets import PARTS
from flowkit.config.faults import Action, InjectedFault, Law, parse_fault
from flowkit.messages import ToolStatus
from flowkit.options import parse_duration

COSTS = ("cost", "cost.speculation", "cost.retries")
"""Amounts of money, of a turn or of the session."""
OF_TURN = (
    "user",
    "agent",
    "heard",
    "spoken",
    "end_reason",
    "ttfa",
    "answer",
    "clauses",
    "reasons",
    "tools",
    "interrupts",
    *COSTS,
    *(f"parts.{p}" for p in PARTS),
)
OF_SESSION = ("turns", "tools", "interrupts", "messages", "stale_frames", "ttfa.p50", "ttfa.p95", "ttfa.max", "speech_to_silence",
              "decision_to_silence", "wall", *COSTS, "cost.per_minute")  # fmt: skip
LISTS = ("clauses", "reasons", "tools")
"""Figures that are a list of texts."""
OF_QUEUE = ("high_water", "dropped", "blocked")
WORDS = ("within", "at_most", "equals", "contains", "absent")
OF_TOOL = ("called", "arguments", "outcome")


class ChunkerCase(opt.Options):
    """Pieces of text as they come from the LLM, and the clauses that the chunker should make of them."""

    feed: tuple[str, ...]
    """The pieces, in order."""
    expect: tuple[str, ...]
    """The clauses, in order."""


class Assertion(opt.Options):
    """One expectation about a turn or the whole session: a figure with one of five conditions, or a tool and its calls."""

    turn: int | None = Field(default=None, ge=1)
    """The turn, counted from 1; without it, the whole session."""
    what: str | None = None
    """Of a turn: user, agent (what was written), heard, spoken (what TTS was given), end_reason, ttfa, parts.NAME, answer
    (until the first words about a tool's outcome), clauses, reasons and tools (lists of texts; tools by name), interrupts. Of the
    session: turns, tools, interrupts, messages, stale_frames, ttfa.p50, ttfa.p95, ttfa.max, speech_to_silence,
    decision_to_silence (the longest), wall, cost.per_minute, queues.STAGE.high_water, .dropped or .blocked. Of both: cost,
    cost.speculation and cost.retries, in the file's currency."""
    within: opt.Duration | None = None
    """A duration is at most this."""
    at_most: int | float | str | None = None
    """A number or a duration is at most this."""
    equals: int | float | str | tuple[str, ...] | None = None
    """The figure is exactly this; durations as `860ms`."""
    contains: str | tuple[str, ...] | None = None
    """A text, or one of the clauses, contains this; with several, each of them."""
    absent: Literal[True] | str | None = None
    """There is none (`true`), or the text contains none of this."""
    tool: str | None = None
    """A tool, in place of `what`: it is called as `called`, `arguments` and `outcome` say."""
    called: Literal["once", "never"] | Annotated[int, Field(ge=0)] | None = None
    """How often: `once`, `never`, or a number. By default at least once."""
    arguments: dict[str, Any] | None = None
    """Only calls with these arguments count. They may have others besides."""
    outcome: ToolStatus | None = None
    """Only calls with this outcome count."""

    @field_validator("what")
    @classmethod
    def _known(cls, what: str | None) -> str | None:
        if what is None:
            return None
        known = {*OF_TURN, *OF_SESSION}
        queue = what.split(".")
        if what in known or (len(queue) == 3 and queue[0] == "queues" and queue[2] in OF_QUEUE):
            return what
        near = get_close_matches(what, known, 1)
        raise ValueError(
            f"unknown figure; did you mean {near[0]!r}?"
            if near
            else f"unknown figure; one of {', '.join(sorted(known))}"
        )

    @model_validator(mode="after")
    def _one_subject(self) -> Assertion:
        if (self.what is None) == (self.tool is None):
            raise ValueError("needs either what or tool")
        foreign = [word for word in (WORDS if self.tool else OF_TOOL) if getattr(self, word) is not None]
        if foreign:
            raise ValueError(f"{foreign[0]!r} is for {'what' if self.tool else 'tool'}")
        return self

    @model_validator(mode="after")
    def _one_word(self) -> Assertion:
        if self.what is None:
            return self
        if sum(getattr(self, word) is not None for word in WORDS) != 1:
            raise ValueError(f"needs exactly one of {', '.join(WORDS)}")
        if self.turn is None and self.what in OF_TURN and self.what not in OF_SESSION:
            raise ValueError(f"{self.what!r} is a figure of a turn: add turn")
        if self.turn is not None and self.what not in OF_TURN:
            raise ValueError(f"{self.what!r} is a figure of the whole session: remove turn")
        if self.what.startswith("cost") and self.within is not None:
            raise ValueError(f"{self.what!r} is an amount of money: use at_most")
        if self.what in LISTS and not isinstance(self.equals, tuple | None):
            raise ValueError(f"{self.what!r} is a list of texts: equals takes a list, such as [One., Two.]")
        if self.what in LISTS and (self.within is not None or self.at_most is not None):
            raise ValueError(f"{self.what!r} is a list of texts: use equals, contains or absent")
        return self


class After(opt.Options):
    """An instant of a session, by what happens in it."""

    turn: int = Field(ge=1)
    """The turn."""
    event: Literal["released", "first_token", "first_clause", "first_audio", "end"]
    """What happens in it: the utterance is released, the first token or clause arrives, the first frame sounds, the
    reply is over."""
    by: opt.Duration = opt.us("0s")
    """How long after it."""


class Injection(opt.Options):
    """Something injected into a session: another user utterance, a slower provider, or other outcomes of a tool."""

    speech: opt.Duration | None = None
    """The user speaks for this long. The agent hears it like any other speech."""
    says: str = ""
    """The transcript of that speech; with `tool`, what comes of its calls."""
    answer: str = ""
    """The LLM's answer to it."""
    at: opt.Duration | None = None
    """When the speech begins, from the session's start."""
    after: After | None = None
    """When it begins, relative to what the agent does."""
    tool: str | None = None
    """A tool that is `slow`, that `says` something else, or that fails."""
    slow: str | None = None
    """Id of a stage whose provider is slower; with `tool`, how much later its outcomes come, such as `2s`."""
    by: opt.Duration | None = None
    """How much later each of that provider's answers comes."""
    fail: str | None = None
    """The error that comes of each of its calls."""
    fault: str | None = None
    """What goes wrong with a provider, such as `llm: fail after 3 tokens in turn 2`."""

    @field_validator("fault")
    @classmethod
    def _readable(cls, fault: str | None) -> str | None:
        if fault is not None:
            parse_fault(fault)
        return fault

    @field_validator("slow")
    @classmethod
    def _how_much(cls, slow: str | None, known: ValidationInfo) -> str | None:
        if slow is not None and known.data.get("tool") is not None:
            parse_duration(slow)
        return slow

    @model_validator(mode="after")
    def _one_thing(self) -> Injection:
        if self.fault is not None:
            return self._alone()
        if self.tool is not None:
            return self._of_tool()
        if self.fail is not None:
            raise ValueError("fail is for a tool: add tool")
        if (self.speech is None) == (self.slow is None):
            raise ValueError("needs either speech, fault or slow, or a tool")
        if self.slow is not None and self.by is None:
            raise ValueError("a slower provider needs by")
        if self.speech is not None and (self.at is None) == (self.after is None):
            raise ValueError("speech needs either at or after")
        return self

    def _alone(self) -> Injection:
        if len(self.model_fields_set) > 1:
            raise ValueError("a fault says everything: remove the other keys")
        return self

    def _of_tool(self) -> Injection:
        if (self.speech, self.by, self.at, self.after) != (None,) * 4 or self.answer:
            raise ValueError(
                "a tool is slow, says something else, or fails; the other keys are for speech and providers"
            )
        if self.fail is not None and self.says:
            raise ValueError("a tool says something or fails")
        if self.slow is None and self.fail is None and not self.says:
            raise ValueError("needs slow, says or fail")
        return self

    @property
    def faults(self) -> tuple[InjectedFault, ...]:
        """What goes wrong with the providers; nothing if it is speech."""
        if self.fault is not None:
            return (parse_fault(self.fault),)
        target = self.tool or self.slow
        if target is None:
            return ()
        later_us = self.by or 0 if self.tool is None else parse_duration(self.slow or "0s")
        slow = InjectedFault(target, Action.SLOW, law=Law(later_us, later_us), written=f"{target}: slow")
        if self.tool is None:
            return (slow,)
        said = Action.SAY if self.fail is None else Action.FAIL
        other = InjectedFault(
            target, said, text=self.says if self.fail is None else self.fail, written=f"{target}: {said}"
        )
        return (*((other,) if self.says or self.fail is not None else ()), *((slow,) if later_us else ()))


class Case(opt.Options):
    """A test in the pipeline file; `flowkit test` runs it."""

    name: str
    """What the test shows, for reports."""
    chunker: ChunkerCase | None = None
    """Feed this text to the pipeline's chunker."""
    trace: str | None = None
    """Replay this recording (a path relative to the file's folder) with this pipeline. Without it, the pipeline's own
    scripted providers run."""
    set: tuple[str, ...] = ()
    """Settings to change for this test, as with `--set`."""
    variables: dict[str, str] = Field(default_factory=dict)
    """The values of `{{name}}` in prompts and the greeting. A recording has its own."""
    inject: tuple[Injection, ...] = ()
    """What to inject into the session."""
    expect: tuple[Assertion, ...] = ()
    """What the session must show. A test with expectations runs a session."""

    @model_validator(mode="after")
    def _one_kind(self) -> Case:
        if self.chunker is None and not self.expect:
            raise ValueError("needs chunker, or expect for a session")
        if self.chunker is not None and (self.expect or self.inject or self.trace):
            raise ValueError("a chunker case feeds text; trace, inject and expect are for sessions")
        if self.variables and (self.trace or self.chunker is not None):
            raise ValueError("variables are for sessions of scripted providers; a recording holds the filled text")
        return self
