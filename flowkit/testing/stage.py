"""Checks a stage of your own. One call checks the contract that every stage has to keep:

    from flowkit.testing.stage import check_stage

    def test_my_filter():
        check_stage(WordFilter, WordFilter.Options(words=("damn",)))

The stage is added to a pipeline of scripted fakes, after the stage that its input comes from. The pipeline runs a few
simple conversations and about sixty random ones, with interrupts, failures and full queues, in virtual time. ``Faults``
lists everything that was found. The fakes say the texts among the values of its options, such as the words of a filter.

These rules are checked:

- Ports: each message goes to a declared output, and its type belongs to the output's content.
- Pure steps: the same messages give the same actions, whatever other sessions do and did. No thread is begun.
- Interrupts: no state is left after one, nothing of an interrupted reply comes out later, and no state is shared.
- Order: the end of a reply is passed on once, after everything else, and clauses and tokens keep their order.
- From clauses to clauses: their texts come out as they went in, and none is missing. A provisional clause stays one. The
  state keeps no more clauses than the queue of the stage may hold, unless ``awaits_reply`` is set.
- Marks: those of each clause fit its texts.
- The promises of every session (``flowkit.testing.invariants``): nothing is lost or stale, all bounds hold, all turns
  end.
- Time: a step takes less than 2 ms.

Needs `hypothesis`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import zip_longest
from threading import enumerate as enumerate_threads
from traceback import extract_tb
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from flowkit import messages as m
from flowkit.clock import monotonic_us
from flowkit.messages import Message
from flowkit.options import Options
from flowkit.plan.graph import Bound, Plan, PlannedStage, ProviderChoice
from flowkit.providers.base import Provider
from flowkit.runtime.watchdog import IN_PLACE_US
from flowkit.stages.base import CONTROL_CONTENT, Action, Emit, Stage
from flowkit.stages.content import CONTENT, unknown_content
from flowkit.testing.emitted import QUEUE, REPLY, emitted
from flowkit.testing.evidence import Evidence, Step, content
from flowkit.testing.faults import Faults
from flowkit.testing.invariants import check
from flowkit.testing.plain import plain_conversations, words_of
from flowkit.testing.sessions import SCRIPTED, heap_session, needs_only_time, planned_of, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations

_LONGEST_US = 20_000_000
"""Virtual time limit of a conversation in microseconds. Most end within three seconds."""
_AGAIN = 3
"""Slow steps before they count as a fault. On a busy machine any single step may be slow."""


def check_stage(
    cls: type[Stage[Any]], options: Options | None = None, *, provider: type[Provider] | None = None, examples: int = 60
) -> None:
    """Check a stage. Takes about two seconds of a core with 60 examples, and half a second without.

    Args:
        cls: the class of the stage.
        options: the options to make it with. Default: the defaults of its ``Options``.
        provider: the provider of its calls, for a stage that opens calls.
        examples: number of random conversations.

    Raises:
        Faults: the stage breaks its contract. The error lists all faults.
    """
    __tracebackhide__ = True  # as in `check_provider`
    subject = _Subject(cls, options, provider)
    found = list(declared(cls)) or list(subject.shared()) or [*subject.sessions(examples), *subject.shared()]
    if found:
        where = f"in the conversation {subject.shown_by!r}" if subject.shown_by else ""
        raise Faults(f"stage {cls.kind!r} ({cls.__qualname__})", found, where)


def declared(cls: type[Stage[Any]]) -> Iterator[str]:
    """Check the class's declarations of kind, inputs and outputs. Yields one line for each fault."""
    takes = {kind for kinds in cls.inputs.values() for kind in kinds}
    for unknown in unknown_content(cls):
        yield f"unknown content {unknown!r}; known are {', '.join(CONTENT)}"
    if "provider" in cls.inputs:
        yield "an input may not be called `provider`: this name is reserved for a provider's items"
    if takes & REPLY and not cls.replying:
        yield f"it takes {' and '.join(sorted(takes & REPLY))}, so it belongs to the reply: set `replying = True`"
    if cls.replying and "turn" not in takes:
        yield 'it belongs to the reply, and no interrupt reaches it: add an input "turn": ("turn",)'
    if cls.call_scope not in ("turn", "session"):
        yield f"call_scope is {cls.call_scope!r}, not `turn` or `session`"


class _Subject:
    """The stage class to check, with its options and its provider."""

    def __init__(self, cls: type[Stage[Any]], options: Options | None, provider: type[Provider] | None) -> None:
        self._cls = cls
        self._options = options
        self._provider = provider
        self.shown_by: Conversation = {}
        """The conversation that showed faults."""

    def sessions(self, examples: int) -> list[str]:
        """Run conversations until one shows faults. Returns these faults, one line each."""
        words = words_of(self._options or self._cls.Options())
        for conversation in plain_conversations(words):
            if found := self.session(conversation):
                self.shown_by = conversation
                return found

        # Its shrinking takes minutes for a fault that shows seldom.
        @settings(
            phases=[Phase.generate],
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(conversations(words))
        def run(conversation: Conversation) -> None:
            if self.session(conversation):
                self.shown_by = conversation
                raise AssertionError

        try:
            run()
        except AssertionError:
            self.shown_by = self.reduced(self.shown_by)
            return self.session(self.shown_by)
        return []

    def reduced(self, conversation: Conversation) -> Conversation:
        """The conversation without what is not needed to show a fault."""
        for kind in conversation:
            less = {other: options for other, options in conversation.items() if other != kind}
            conversation = less if self.session(less) else conversation
        for kind, options in conversation.items():
            for key in options if isinstance(options, dict) else ():
                fewer = {other: value for other, value in conversation[kind].items() if other != key}
                less = {**conversation, kind: fewer}
                conversation = less if self.session(less) else conversation
        return conversation

    def session(self, conversation: Conversation) -> list[str]:
        """Run one conversation. Returns the faults that it shows, one line each."""
        plan = self.plan(conversation)
        evidence = Evidence(plan)
        inline = self._provider is None or needs_only_time(self._provider)
        try:
            (heap_session if inline else trio_session)(plan, evidence, _LONGEST_US)
        except Exception as error:  # the stage raised it: the fakes do not raise
            return [f"the session fails: {_raised(error, self._cls)}"]
        steps = [step for step in evidence.steps if step.stage == self._cls.kind]
        found = [*emitted(self._cls, steps), *self.repeated(plan, steps)]
        try:
            check(evidence)
        except AssertionError as broken:
            found.append(str(broken))
        return found

    def plan(self, conversation: Conversation) -> Plan:
        """The pipeline of a conversation with the stage in it.

        The stage replaces flowkit's own stage of its kind, or else comes after the stages whose output it takes.
        """
        kind = self._cls.kind
        # A stage that a pipeline need not have is in it here, or nobody would answer its calls.
        plan = scripted_plan(**{**({kind: {}} if kind in SCRIPTED else {}), **conversation})
        queues = {edge.target: edge.bound for edge in plan.edges if edge.bound is not None}
        choice = None
        if self._provider is not None:
            choice = ProviderChoice(self._provider.name, self._provider, self._provider.Options())
        if any(stage.kind == kind for stage in plan.stages):
            own = [self._instead_of(stage) if stage.kind == self._cls.kind else stage for stage in plan.stages]
        else:
            bound = Bound(self._cls.queue_max or QUEUE)
            queues[self._cls.kind] = bound
            options = self._options or self._cls.Options()
            mine = PlannedStage(self._cls.kind, self._cls.kind, self._cls, options, choice, window=bound.max)
            before = [n for n, stage in enumerate(plan.stages) if self._takes_from(stage)]
            place = 1 + max(before, default=len(plan.stages) - 1)
            own = [*plan.stages[:place], mine, *plan.stages[place:]]
        return planned_of(tuple(own), queues, plan.frame_us)

    def _instead_of(self, stage: PlannedStage) -> PlannedStage:
        """Replace flowkit's own stage. Without options to check, it gets those of the conversation."""
        options = self._options or self._cls.Options.model_validate(stage.options.model_dump())
        return replace(stage, cls=self._cls, options=options)

    def _takes_from(self, stage: PlannedStage) -> bool:
        wanted = {kind for kinds in self._cls.inputs.values() for kind in kinds} - CONTROL_CONTENT
        return bool(wanted & set(stage.cls.outputs.values()))

    def repeated(self, plan: Plan, steps: list[Step]) -> Iterator[str]:
        """Pass the same messages to another object of the class, twice. Yields a fault if its actions differ, if it begins
        a thread, or if its steps are slow."""
        again, threads = plan.stage(self._cls.kind), set(enumerate_threads())
        stage, least_us = again.cls(again.options, plan.frame_us), [sys.maxsize] * len(steps)
        for whose in ("another object of the class returns", "the same object returns in a later session"):
            state = stage.fresh()
            for place, step in enumerate(steps):
                began_us = monotonic_us()
                actions = tuple(stage.step(state, step.message, step.at_us))
                # The least of both runs counts, because on a busy machine any single one may be slow.
                least_us[place] = min(least_us[place], monotonic_us() - began_us)
                if actions != step.actions:
                    yield f"not pure: for the same {_name(step.message)} {whose} {_difference(step.actions, actions)}"
                    return
                if isinstance(step.message, m.Interrupt):
                    state = stage.reset(state)
        for left in set(enumerate_threads()) - threads:
            yield f"leaves thread {left.name!r} at work: a stage has no threads"
        slow = sorted((us, place) for place, us in enumerate(least_us) if us > IN_PLACE_US)
        if len(slow) >= _AGAIN:
            us, place = slow[len(slow) // 2]
            what = _name(steps[place].message)
            yield f"steps take {us / 1000:.1f} ms, for example for {what}; all sessions wait meanwhile"

    def shared(self) -> Iterator[str]:
        """Check that two sessions, or two replies, do not share a state."""
        options = self._options or self._cls.Options()
        one, other = self._cls(options), self._cls(options)
        state = one.fresh()
        # Such a state cannot change, so to share it does no harm.
        if isinstance(state, (type(None), str, int, float, tuple, frozenset)):
            return
        if state is one.fresh() or state is other.fresh():
            yield "fresh() returns the same object again; it must make a new one each time"
        elif content(state) != content(other.fresh()):
            yield "fresh() returns a different state after the first session"


def _difference(first: Sequence[Action], again: Sequence[Action]) -> str:
    """What is different in the first action that is."""
    one, other = next(pair for pair in zip_longest(first, again) if pair[0] != pair[1])
    if isinstance(one, Emit) and isinstance(other, Emit) and type(one.message) is type(other.message):
        names = [f.name for f in fields(one.message) if getattr(one.message, f.name) != getattr(other.message, f.name)]
        told = [name for name in names if name != "marks"] or names
        pairs = (f"{name} {getattr(other.message, name)!r} and not {getattr(one.message, name)!r}" for name in told)
        return ", ".join(pairs) or f"port {other.port!r} and not {one.port!r}"
    return f"{_short(other)} and not {_short(one)}"


def _short(action: Action | None) -> str:
    if isinstance(action, Emit):
        return f"{type(action.message).__name__} to {action.port!r}"
    return "nothing more" if action is None else repr(action)


def _raised(error: Exception, cls: type[Stage[Any]]) -> str:
    """An exception, and the line in the module of the class where it was raised."""
    module = getattr(sys.modules.get(cls.__module__), "__file__", None)
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == module]
    place = f" (line {lines[-1]} of {cls.__module__})" if lines else ""
    return f"{type(error).__name__}: {error}{place}"


def _name(message: Message) -> str:
    return type(message).__name__
