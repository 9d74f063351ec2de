"""Testing a stage of one's own. One call checks what every stage promises:

    from flowkit.testing.stage import check_stage

    def test_my_filter():
        check_stage(WordFilter, WordFilter.Options(words=("damn",)))

The stage is put where its input comes from, into a pipeline of scripted fakes. A few plain conversations are had with it and some
sixty random ones, with interrupts, failures and full queues, in virtual time. ``Faults`` lists all that was found:

- ports: what it emits goes to a port that it has declared, and is of a type that runs there;
- a pure step: the same messages give the same actions, whatever other sessions do;
- an interrupt leaves nothing behind, and no state is shared;
- the end of a reply is passed on, behind all of it, and clauses and tokens keep their order;
- every promise of a session (``flowkit.testing.invariants``): nothing lost, nothing stale, every bound kept, every turn ended;
- a step takes less than 2 ms.

Needs `hypothesis`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from flowkit.testing.evidence import Evidence, Step, content
from flowkit.testing.faults import Faults
from flowkit.testing.invariants import check
from flowkit.testing.sessions import PIPELINE, heap_session, planned_of, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations

_RUNS: Mapping[str, tuple[type[Message], ...]] = {
    "audio": (m.Frames,),
    "end": (m.InputEnded,),
    "endpoint": (m.EndOfUtterance, m.InputEnded),
    "transcript": (m.Partial, m.Final, m.InputEnded),
    "utterance": (m.Utterance,),
    "tokens": (m.Token, m.EndOfReply),
    "clauses": (m.Clause, m.EndOfReply),
    "voice": (m.ClauseStarted, m.Audio, m.WordTimes, m.ClauseEnded, m.EndOfReply),
    "speech": (m.SpeechStarted, m.SpeechStopped),
    "turn": (m.Interrupt, m.Shutdown),
    "hold": (m.Hold, m.Resume),
    "verdict": (m.Commit, m.Revoke),
    "progress": (m.Fault, m.Heard, m.PlaybackStarted, m.ReplyPlayed),
}
"""What runs along an edge, by its content."""
_REPLY = frozenset({"tokens", "clauses", "voice"})
_QUEUE = 16
_LONGEST_US = 20_000_000
"""Virtual time that a conversation may take; most are over within three seconds."""
_AGAIN = 3
"""So many slow steps are no accident: on a machine that is busy elsewhere, anything may take long once."""
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
"""One turn, an interrupt, an empty reply, one that fails, and narrow queues: most faults show here, and shortly."""


def check_stage(
    cls: type[Stage[Any]], options: Options | None = None, *, provider: type[Provider] | None = None, examples: int = 60
) -> None:
    """Check a stage; takes a few seconds.

    Args:
        options: what it is made with; by default its options' defaults.
        provider: who does its work outside, for a stage that opens calls.
        examples: how many conversations are had.

    Raises:
        Faults: something is not as it should be; all of it is listed.
    """
    subject = _Subject(cls, options, provider)
    found = list(declared(cls)) or [*subject.sessions(examples), *subject.shared()]
    if found:
        raise Faults(f"stage {cls.kind!r} ({cls.__qualname__})", list(dict.fromkeys(found)))


def declared(cls: type[Stage[Any]]) -> Iterator[str]:
    """What is wrong with its declaration, a line each."""
    gives, takes = set(cls.outputs.values()), {kind for kinds in cls.inputs.values() for kind in kinds}
    for unknown in sorted((gives | takes) - set(_RUNS)):
        yield f"there is no content {unknown!r}; there are {', '.join(_RUNS)}"
    if "provider" in cls.inputs:
        yield "an input may not be called `provider`: that is where a provider's items come in"
    if takes & _REPLY and not cls.replying:
        yield f"it takes {' and '.join(sorted(takes & _REPLY))}, so it belongs to the reply: `replying = True`"
    if cls.replying and "turn" not in takes:
        yield 'it belongs to the reply, and no interrupt reaches it: add an input "turn": ("turn",)'
    if cls.call_scope not in ("turn", "session"):
        yield f"call_scope is {cls.call_scope!r}, not `turn` or `session`"


class _Subject:
    """A stage class with its options, in pipelines."""

    def __init__(self, cls: type[Stage[Any]], options: Options | None, provider: type[Provider] | None) -> None:
        self._cls = cls
        self._options = options
        self._provider = provider

    def sessions(self, examples: int) -> list[str]:
        """Have conversations until one shows a fault; what that shows."""
        for conversation in _PLAIN:
            if found := self.session(conversation):
                return [*found, f"seen in the conversation {conversation!r}"]
        found = []

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(conversations())
        def have(conversation: Conversation) -> None:
            found[:] = self.session(conversation)
            if found:
                found.append(f"seen in the conversation {conversation!r}")
                raise AssertionError

        try:
            have()
        except AssertionError:
            return found
        return []

    def session(self, conversation: Conversation) -> list[str]:
        """What one conversation shows."""
        plan = self.plan(conversation)
        evidence = Evidence(plan)
        inline = self._provider is None or issubclass(self._provider, InlineProvider)
        try:
            (heap_session if inline else trio_session)(plan, evidence, _LONGEST_US)
        except Exception as error:  # whatever it is, it is the stage's doing: the fakes do not raise
            return [f"the session breaks: {type(error).__name__}: {error}"]
        steps = [step for step in evidence.steps if step.stage == self._cls.kind]
        found = [*emitted(self._cls, steps), *self.repeated(plan, steps)]
        try:
            check(evidence)
        except AssertionError as broken:
            found.append(str(broken))
        return found

    def plan(self, conversation: Conversation) -> Plan:
        """The conversation's pipeline with the stage in it: in place of flowkit's own of that kind, or behind what it takes."""
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
            place = 1 + max(n for n, stage in enumerate(plan.stages) if self._takes_from(stage))
            own = [*plan.stages[:place], mine, *plan.stages[place:]]
        return planned_of(tuple(own), queues, plan.frame_us)

    def _instead_of(self, stage: PlannedStage) -> PlannedStage:
        """Without options of its own it has those of the conversation."""
        options = self._options or self._cls.Options.model_validate(stage.options.model_dump())
        return replace(stage, cls=self._cls, options=options)

    def _takes_from(self, stage: PlannedStage) -> bool:
        wanted = {kind for kinds in self._cls.inputs.values() for kind in kinds} - CONTROL_CONTENT
        return bool(wanted & set(stage.cls.outputs.values()))

    def repeated(self, plan: Plan, steps: list[Step]) -> Iterator[str]:
        """The same messages to another one of the class: the same actions, and none of them late."""
        again = plan.stage(self._cls.kind)
        stage, lasted_us = again.cls(again.options, plan.frame_us), list[int]()
        state = stage.fresh()
        for step in steps:
            began_us = monotonic_us()
            actions = tuple(stage.step(state, step.message, step.at_us))
            lasted_us.append(monotonic_us() - began_us)
            if actions != step.actions:
                yield f"not pure: to the same {_name(step.message)} it says {step.actions!r} first, and then {actions!r}"
                return
            if isinstance(step.message, m.Interrupt):
                state = stage.reset(state)
        slow = [(us, step) for us, step in zip(lasted_us, steps, strict=True) if us > IN_PLACE_US]
        if len(slow) >= _AGAIN:
            us, step = sorted(slow, key=lambda each: each[0])[len(slow) // 2]
            yield f"steps take {us / 1000:.1f} ms, such as one at a {_name(step.message)}; all sessions wait for it"

    def shared(self) -> Iterator[str]:
        """Whether two sessions, or two replies, have a state between them."""
        options = self._options or self._cls.Options()
        one, other = self._cls(options), self._cls(options)
        state = one.fresh()
        if isinstance(state, (type(None), str, int, float, tuple, frozenset)):
            return
        if state is one.fresh() or state is other.fresh():
            yield "fresh() gives the same object again; it must make a new one each time"
        elif content(state) != content(other.fresh()):
            yield "fresh() gives another state after the first session"


def emitted(cls: type[Stage[Any]], steps: list[Step]) -> Iterator[str]:
    """What is wrong with what a stage emits in one session."""
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
                    yield f"{_name(message)} {message.index} follows {index} in one reply: they are numbered in order"
                index = message.index
    if passes_on and owed:
        yield f"EndOfReply came in and did not go out ({owed} times): the stages behind wait for ever"


def _misplaced(cls: type[Stage[Any]], action: Emit) -> Iterator[str]:
    if action.port not in cls.outputs:
        yield f"emits to port {action.port!r}, which it has not declared: its outputs are {', '.join(cls.outputs)}"
        return
    runs = _RUNS[cls.outputs[action.port]]
    if not isinstance(action.message, runs):
        names = ", ".join(kind.__name__ for kind in runs)
        yield f"emits a {_name(action.message)} to port {action.port!r}, where {names} run"


def _name(message: Message) -> str:
    return type(message).__name__
