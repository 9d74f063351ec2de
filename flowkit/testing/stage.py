"""Checks a stage of your own. One call checks the contract that every stage has to keep:

    from flowkit.testing.stage import check_stage

    def test_my_filter():
        check_stage(WordFilter, WordFilter.Options(words=("damn",)))

The stage is added to a pipeline of scripted fakes, after the stage that its input comes from. The pipeline runs a few
simple conversations and about sixty random ones, with interrupts, failures and full queues, in virtual time. ``Faults``
lists everything that was found. These rules are checked:

- Ports: each message goes to a declared output, and its type belongs to the output's content.
- Pure steps: the same messages give the same actions, independent of other sessions.
- Interrupts: no state is left after one, and no state is shared.
- Order: the end of a reply is passed on after everything else, and clauses and tokens keep their order.
- The promises of every session (``flowkit.testing.invariants``): nothing is lost or stale, all bounds hold, all turns
  end.
- Time: a step takes less than 2 ms.

Needs `hypothesis`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings

from flowkit import messages as m
from flowkit.clock import monotonic_us
from flowkit.messages import Message
from flowkit.options import Options
from flowkit.plan.graph import Bound, Plan, PlannedStage, ProviderChoice
from flowkit.providers.base import Provider
from flowkit.providers.inline import InlineProvider
from flowkit.runtime.watchdog import IN_PLACE_US
from flowkit.stages.base import CONTROL_CONTENT, Emit, Stage
from flowkit.stages.content import CONTENT, unknown_content
from flowkit.testing.evidence import Evidence, Step, content
from flowkit.testing.faults import Faults
from flowkit.testing.invariants import check
from flowkit.testing.sessions import PIPELINE, heap_session, planned_of, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations

_REPLY = frozenset({"tokens", "clauses", "voice"})
_QUEUE = 16
_LONGEST_US = 20_000_000
"""Virtual time limit of a conversation in microseconds. Most end within three seconds."""
_AGAIN = 3
"""Slow steps before they count as a fault. On a busy machine any single step may be slow."""
_ONE = {"mic": {"speech": [{"at": "0ms", "lasts": "160ms"}]}, "asr": {"utterances": ("One.", "Two.")}}
_BOTH = {"speech": [{"at": "0ms", "lasts": "160ms"}, {"at": "1500ms", "lasts": "300ms"}]}
_SAID = {"replies": ({"text": "Yes, I think so. No, wait. Perhaps it is not so, or is it?"},)}
_PLAIN: tuple[Conversation, ...] = (
    _ONE | {"llm": _SAID},
    _ONE | {"llm": _SAID, "mic": _BOTH},
    _ONE | {"llm": {"replies": ({"text": ""},)}},
    _ONE | {"llm": {"replies": ({"text": "One. Two. Three.", "fail_after": 2},)}, "mic": _BOTH},
    _ONE | {"llm": _SAID, "chunker": {"queue": {"max": 1}}, "tts": {"queue": {"max": 1}}},
)
"""One turn, an interrupt, an empty reply, a failing reply, and small queues. They show most faults with a short
conversation."""


def check_stage(
    cls: type[Stage[Any]], options: Options | None = None, *, provider: type[Provider] | None = None, examples: int = 60
) -> None:
    """Check a stage. Takes a few seconds.

    Args:
        cls: the class of the stage.
        options: the options to make it with. Default: the defaults of its ``Options``.
        provider: the provider of its calls, for a stage that opens calls.
        examples: number of random conversations.

    Raises:
        Faults: the stage breaks its contract. The error lists all faults.
    """
    subject = _Subject(cls, options, provider)
    found = list(declared(cls)) or [*subject.sessions(examples), *subject.shared()]
    if found:
        raise Faults(f"stage {cls.kind!r} ({cls.__qualname__})", list(dict.fromkeys(found)))


def declared(cls: type[Stage[Any]]) -> Iterator[str]:
    """Check the class's declarations of kind, inputs and outputs. Yields one line for each fault."""
    takes = {kind for kinds in cls.inputs.values() for kind in kinds}
    for unknown in unknown_content(cls):
        yield f"unknown content {unknown!r}; known are {', '.join(CONTENT)}"
    if "provider" in cls.inputs:
        yield "an input may not be called `provider`: this name is reserved for a provider's items"
    if takes & _REPLY and not cls.replying:
        yield f"it takes {' and '.join(sorted(takes & _REPLY))}, so it belongs to the reply: set `replying = True`"
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

    def sessions(self, examples: int) -> list[str]:
        """Run conversations until one shows faults. Returns these faults, one line each."""
        for conversation in _PLAIN:
            if found := self.session(conversation):
                return [*found, f"found in the conversation {conversation!r}"]
        found = []

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(conversations())
        def run(conversation: Conversation) -> None:
            found[:] = self.session(conversation)
            if found:
                found.append(f"found in the conversation {conversation!r}")
                raise AssertionError

        try:
            run()
        except AssertionError:
            return found
        return []

    def session(self, conversation: Conversation) -> list[str]:
        """Run one conversation. Returns the faults that it shows, one line each."""
        plan = self.plan(conversation)
        evidence = Evidence(plan)
        inline = self._provider is None or issubclass(self._provider, InlineProvider)
        try:
            (heap_session if inline else trio_session)(plan, evidence, _LONGEST_US)
        except Exception as error:  # the stage raised it: the fakes do not raise
            return [f"the session fails: {type(error).__name__}: {error}"]
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
        plan = scripted_plan(**conversation)
        queues = {edge.target: edge.bound for edge in plan.edges if edge.bound is not None}
        choice = None
        if self._provider is not None:
            choice = ProviderChoice(self._provider.name, self._provider, self._provider.Options())
        if self._cls.kind in PIPELINE:
            own = [self._instead_of(stage) if stage.kind == self._cls.kind else stage for stage in plan.stages]
        else:
            bound = Bound(self._cls.queue_max or _QUEUE)
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
        """Pass the same messages to a second stage. Yields a fault if its actions differ, or if its steps are slow."""
        again = plan.stage(self._cls.kind)
        stage, lasted_us = again.cls(again.options, plan.frame_us), list[int]()
        state = stage.fresh()
        for step in steps:
            began_us = monotonic_us()
            actions = tuple(stage.step(state, step.message, step.at_us))
            lasted_us.append(monotonic_us() - began_us)
            if actions != step.actions:
                yield f"not pure: for the same {_name(step.message)} it returns first {step.actions!r}, and then {actions!r}"
                return
            if isinstance(step.message, m.Interrupt):
                state = stage.reset(state)
        slow = [(us, step) for us, step in zip(lasted_us, steps, strict=True) if us > IN_PLACE_US]
        if len(slow) >= _AGAIN:
            us, step = sorted(slow, key=lambda each: each[0])[len(slow) // 2]
            yield f"steps take {us / 1000:.1f} ms, for example for {_name(step.message)}; all sessions wait meanwhile"

    def shared(self) -> Iterator[str]:
        """Check that two sessions, or two replies, do not share a state."""
        options = self._options or self._cls.Options()
        one, other = self._cls(options), self._cls(options)
        state = one.fresh()
        if isinstance(state, (type(None), str, int, float, tuple, frozenset)):
            return
        if state is one.fresh() or state is other.fresh():
            yield "fresh() returns the same object again; it must make a new one each time"
        elif content(state) != content(other.fresh()):
            yield "fresh() returns a different state after the first session"


def emitted(cls: type[Stage[Any]], steps: list[Step]) -> Iterator[str]:
    """Check what a stage emitted in one session. Yields one line for each fault."""
    passes_on = any(kind in _REPLY for kinds in cls.inputs.values() for kind in kinds) and bool(
        _REPLY & set(cls.outputs.values())
    )
    owed, index = 0, -1
    for step in steps:
        if isinstance(step.message, m.Interrupt):
            owed, index = 0, -1
        owed += isinstance(step.message, m.EndOfReply)
        for action in step.actions:
            if not isinstance(action, Emit):
                continue
            yield from _misplaced(cls, action)
            message = action.message
            if isinstance(message, m.EndOfReply):
                owed, index = owed - 1, -1
            elif isinstance(message, (m.Token, m.Clause)):
                if message.index <= index:
                    yield f"{_name(message)} {message.index} follows {index} in one reply; the numbers must rise"
                index = message.index
    if passes_on and owed:
        yield f"EndOfReply was received and not passed on ({owed} times): the following stages wait for it"


def _misplaced(cls: type[Stage[Any]], action: Emit) -> Iterator[str]:
    if action.port not in cls.outputs:
        yield f"emits to port {action.port!r}, which is not declared; its outputs are {', '.join(cls.outputs)}"
        return
    runs = CONTENT[cls.outputs[action.port]]
    if not isinstance(action.message, runs):
        names = ", ".join(kind.__name__ for kind in runs)
        yield f"emits {_name(action.message)} to port {action.port!r}, which takes {names}"


def _name(message: Message) -> str:
    return type(message).__name__
