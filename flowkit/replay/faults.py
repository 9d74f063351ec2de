"""Puts faults into the answers of a session's providers: of scripted fakes, and of what a recording holds.

How a fault is written is in ``flowkit.config.faults``. A call fails or stalls instead of the item that would come next, so at its
time. A transcript belongs to the turn that it becomes, or would have become: after one that did not come, the next words are
those of the next turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from flowkit.config.faults import Action, InjectedFault
from flowkit.config.problems import suggest
from flowkit.engine import Engine
from flowkit.errors import UsageError
from flowkit.figures.report import Report
from flowkit.messages import (
    Audio,
    Done,
    Failed,
    Final,
    Message,
    Partial,
    Token,
    ToolCall,
    ToolOutcome,
    ToolStatus,
)
from flowkit.plan.graph import Plan, PlannedStage
from flowkit.plural import counted, named
from flowkit.providers.inline import InlineCall, Script
from flowkit.replay.chance import Chance
from flowkit.tools import Tools, names_of

Answers = Iterable[tuple[int, Message]]
_ITEMS: Mapping[str, tuple[type[Message], ...]] = {
    "tokens": (Token,),
    "transcripts": (Partial, Final),
    "partials": (Partial,),
    "finals": (Final,),
    "pieces": (Audio,),
    "outcomes": (ToolOutcome,),
}
GIVES: Mapping[str, tuple[str, ...]] = {
    "asr": ("transcripts", "partials", "finals", "items"),
    "llm": ("tokens", "items"),
    "tts": ("pieces", "items"),
    "tools": ("outcomes", "items"),
}
"""What can be counted of each kind of stage."""
_WHAT = "an injected fault"


class FaultyProviders:
    """The faults of one session. `hit` has the turns in which each fault has done something.

    Args:
        plan: the plan of the session.
        faults: the faults, of which several may be in one provider.
        chance: the dice, for delays by a law.

    Raises UsageError if a fault is in something that the pipeline does not have.
    """

    def __init__(self, plan: Plan, faults: Iterable[InjectedFault], chance: Chance | None = None) -> None:
        self.hit: dict[InjectedFault, set[int]] = {fault: set() for fault in faults}
        self._chance = chance or Chance()
        self._stages = {stage.id: index for index, stage in enumerate(plan.stages)}
        self._of = {fault: _stage_of(plan, fault) for fault in self.hit}
        self._engine: Engine | None = None

    def into(self, scripts: Mapping[str, Script]) -> dict[str, Script]:
        """The scripts of the session, with the faults. Raises UsageError if one is in a stage without a provider."""
        made = dict(scripts)
        for fault, stage in self._of.items():
            if stage.id not in made:
                raise _no_target(fault, made)
            tool = fault.target if stage.kind == "tools" and fault.target != stage.id else ""
            made[stage.id] = _Faulty(made[stage.id], fault, tool, self._turn(stage), self.hit[fault], self._chance)
        return made

    def follow(self, engine: Engine) -> None:
        """Follow this engine, to know in which turn a provider answers."""
        self._engine = engine

    def missed(self, turns: int) -> list[str]:
        """The faults that have done nothing, in a session of so many turns, for people."""
        return [
            f"the fault {fault.written!r} hits nothing in a session of {counted(turns, 'turn')}"
            for fault, hit in self.hit.items()
            if not hit
        ]

    def injected(self) -> dict[str, tuple[int, ...]]:
        """The faults that have done something, as they are written, and in which turns."""
        return {fault.written: tuple(sorted(hit)) for fault, hit in self.hit.items() if hit}

    def _turn(self, stage: PlannedStage) -> Callable[[], int]:
        index, ahead = self._stages[stage.id], int(stage.kind == "asr")
        return lambda: 0 if self._engine is None else self._engine.turn(index) + ahead


def after_faults(report: Report, faulty: FaultyProviders) -> Report:
    """A report that says what was injected, and which figures are assumed after it."""
    injected = faulty.injected()
    if not injected:
        return report
    since = min(turn for hit in injected.values() for turn in hit)
    turns = tuple(replace(turn, assumed=turn.turn >= since) for turn in report.turns)
    told = (f"injected: {written} ({named(hit, 'turn')})" for written, hit in injected.items())
    assumed = f"assumed: from turn {since} on, the user and the providers go on after the fault as they usually do"
    return replace(report, turns=turns, injected=injected, notices=(*report.notices, *told, assumed))


def moved(faults: Iterable[InjectedFault], turns: Mapping[int, int]) -> tuple[InjectedFault, ...]:
    """The faults of a session of which only these turns are left: the new number of each. A fault without a turn goes."""
    left = (
        replace(one, turns=tuple(turns[n] for n in one.turns if n in turns)) if one.turns else one for one in faults
    )
    return tuple(new for new, old in zip(left, faults, strict=True) if new.turns or not old.turns)


def _stage_of(plan: Plan, fault: InjectedFault) -> PlannedStage:
    """The stage with the provider that a fault is in. Raises UsageError."""
    known = {stage.id: stage for stage in plan.stages}
    tools = plan.only("tools")
    stage = known.get(fault.target)
    if stage is None and tools is not None and isinstance(tools.options, Tools):
        names = names_of(tools.options.tools)
        stage = tools if names is None or fault.target in names else None
        known.update((name, tools) for name in names or ())
    if stage is None or stage.provider is None:
        raise _no_target(fault, (id_ for id_, other in known.items() if other.provider))
    if fault.action is Action.SAY and stage.kind != "tools":
        raise UsageError(f"{fault.written!r}: only a tool can say something else")
    gives = GIVES.get(stage.kind, ())
    if fault.action is not Action.SLOW and fault.items not in gives:
        what = f"{stage.kind} gives no {fault.items}" if gives else f"a stage of kind {stage.kind} can only be slow"
        raise UsageError(f"{fault.written!r}: {what}", hint=f"items: {', '.join(gives)}" if gives else "")
    return stage


def _no_target(fault: InjectedFault, known: Iterable[str]) -> UsageError:
    what = f"{fault.written!r}: no stage {fault.target!r} has a provider, and no tool has this name"
    return UsageError(what, hint=suggest(fault.target, known, "stages and tools"))


class _Faulty(Script):
    """A script with a fault. `tool`: the only tool that has it; empty: all have."""

    def __init__(
        self,
        inner: Script,
        fault: InjectedFault,
        tool: str,
        turn: Callable[[], int],
        hit: set[int],
        chance: Chance,
    ) -> None:
        self._inner = inner
        self._tool = tool
        self._new = partial(_Call, fault, turn, hit, chance)
        self._opened = 0

    def open(self, request: Message) -> InlineCall:
        self._opened += 1
        inner, call = self._inner.open(request), self._new(self._opened)

        def fed(item: Message) -> Answers:
            found = inner.fed(item)
            if isinstance(item, ToolCall):
                return call.of_tool(item, found) if self._tool in ("", item.name) else found
            return call.through(found) if found else ()

        return InlineCall(lambda: call.through(inner.opened()), fed, lambda: call.through(inner.ended()))


@dataclass(slots=True)
class _Call:
    """One call with a fault. `seen`: how many items it has given in each turn. `lost`: how many turns did not come about, because
    their transcript did not come. `over`: it has failed."""

    fault: InjectedFault
    turn: Callable[[], int]
    hit: set[int]
    chance: Chance
    number: int
    seen: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    over: bool = False

    def through(self, answers: Answers) -> Iterator[tuple[int, Message]]:
        """What comes of these answers."""
        for delay_us, item in answers:
            if self.over:
                return
            turn = self.turn() + self.lost
            given = list(self._given(turn, delay_us, item)) if self._in(turn) else [(delay_us, item)]
            self.lost += isinstance(item, Final) and bool(item.text) and not given
            yield from given

    def of_tool(self, call: ToolCall, answers: Answers) -> Iterator[tuple[int, Message]]:
        """What comes of a tool's call: another outcome comes even where none would."""
        fault, turn = self.fault, self.turn()
        if fault.action not in (Action.FAIL, Action.SAY) or not self._in(turn):
            yield from self.through(answers)
            return
        first_us = next((delay_us for delay_us, _ in answers), 0)
        if self._count(turn) < fault.after:
            yield from answers
            return
        self.hit.add(turn)
        said = fault.action is Action.SAY
        status, text = (ToolStatus.RESULT, fault.text) if said else (ToolStatus.ERROR, fault.text or _WHAT)
        yield first_us if fault.after_us is None else fault.after_us, ToolOutcome(call.id, status.value, text)

    def _in(self, turn: int) -> bool:
        return not self.fault.turns or turn in self.fault.turns

    def _count(self, turn: int) -> int:
        """How many items came before in this turn. The next one counts from now on."""
        seen = self.seen.get(turn, 0)
        self.seen[turn] = seen + 1
        return seen

    def _given(self, turn: int, delay_us: int, item: Message) -> Iterator[tuple[int, Message]]:
        fault = self.fault
        counts = type(item) not in (Done, Failed) and isinstance(item, _ITEMS.get(fault.items, (Message,)))
        match fault.action:
            case Action.SLOW:
                self.hit.add(turn)
                yield self._later_us(turn, delay_us), item
            case Action.FAIL | Action.STALL:
                yield from self._until_over(turn, delay_us, item, counts)
            case Action.DROP | Action.DOUBLE if counts:
                place = self._count(turn) - fault.after
                strikes = place >= 0 and (fault.count is None or place < fault.count)
                if strikes:
                    self.hit.add(turn)
                times = 1 if not strikes else 0 if fault.action is Action.DROP else 2
                yield from ((delay_us, item),) * times
            case _:
                yield delay_us, item

    def _until_over(self, turn: int, delay_us: int, item: Message, counts: bool) -> Iterator[tuple[int, Message]]:
        fault = self.fault
        soon = fault.after_us is not None and delay_us < fault.after_us
        if soon or self.seen.get(turn, 0) < fault.after:
            self.seen[turn] = self.seen.get(turn, 0) + counts
            yield delay_us, item
            return
        self.hit.add(turn)
        if fault.action is Action.FAIL:
            self.over = True
            yield delay_us if fault.after_us is None else fault.after_us, Failed("error", fault.text or _WHAT)

    def _later_us(self, turn: int, delay_us: int) -> int:
        law = self.fault.law
        share = (
            self.chance.share(f"how slow {self.fault.target} is", self.fault.written, turn, self.number)
            if law.varies
            else 0.0
        )
        return round(law.factor * delay_us) + law.later_us(share)
