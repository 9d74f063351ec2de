"""Tests your own stage, provider or pipeline with random sessions. A failing session shrinks to a short conversation.

    from flowkit.testing.session_machine import session_machine

    TestMine = session_machine(stages={"chunker": MyChunking}).TestCase

The rules of the state machine are what a user and the providers do: speak, wait, answer slowly, fail. They build a
conversation, which runs as one session in virtual time. ``flowkit.testing.invariants`` then checks it. Needs
`hypothesis`. The same as a property:

    @given(conversations())
    def test_mine(conversation): check_session(conversation, pipeline="pipelines/mine.yaml")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hypothesis import currently_in_test_context, reject
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from flowkit.config import load
from flowkit.config.catalog import Installed
from flowkit.engine import CallOpened, Engine
from flowkit.errors import FlowkitError, UsageError
from flowkit.figures.layout import layout_of
from flowkit.figures.metrics import measure
from flowkit.figures.queues import queue_reports
from flowkit.figures.report import Report
from flowkit.messages import Done, Failed, Final, Frames, Probability
from flowkit.plan import resolve
from flowkit.plan.graph import Plan, PlannedStage, ProviderChoice
from flowkit.providers.base import Provider
from flowkit.stages.base import Stage
from flowkit.testing.evidence import Evidence
from flowkit.testing.invariants import check
from flowkit.testing.sessions import PIPELINE, heap_session, needs_only_time, scripted_plan, trio_session, with_fakes
from flowkit.testing.strategies.conversations import Conversation
from flowkit.testing.strategies.sessions import durations, joined
from flowkit.testing.virtual import kept_model

_WORDS = ("Yes.", "No, wait.", "Paris is it,", "and then some more", "3.5 of them.", "Fine!")
_MOST_SPEECH = 4
_WORKED = (Done, Final, Probability, Frames)
"""Items of a provider that show that a call succeeds."""
Shows = Callable[[Report], bool]
"""A condition on the figures of a session."""
_PLAIN = Conversation(
    mic={"speech": [{"at": "0ms", "lasts": "160ms"}]},
    vad={"end": "100ms", "start": "40ms"},
    asr={"utterances": ("One.",)},
    llm={"first_token": "40ms", "replies": ({"text": "Yes, I think so."},)},
    tts={"first_audio": "40ms", "per_char": "15ms"},
)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tested: a pipeline file or the default pipeline, with your own stages and providers by kind.

    A provider that is not inline runs on the live pump under a clock that jumps. It may wait only for time or for other
    tasks, not for threads or sockets.
    """

    pipeline: str | Path | None = None
    stages: Mapping[str, type[Stage[Any]]] = field(default_factory=dict)
    providers: Mapping[str, type[Provider]] = field(default_factory=dict)

    def plan(self, conversation: Conversation) -> Plan:
        """The plan of a session: the stages of the subject, with the scripted providers of the conversation.

        Raises InvalidConfig for errors in the pipeline file, and UsageError if it has no stage of a kind that is to be
        tested.
        """
        plan = scripted_plan(**conversation)
        if self.pipeline is not None:
            plan = _decisions_of(self._written(), plan)
        kinds = {stage.kind for stage in plan.stages}
        if unused := sorted({*self.stages, *self.providers} - kinds):
            of = (
                f"the pipeline {self.pipeline}"
                if self.pipeline
                else "the default pipeline; name one that has it: pipeline="
            )
            raise UsageError(f"{unused[0]!r} is not tested: there is no stage of that kind in {of}")
        return replace(plan, stages=tuple(self._own(stage) for stage in plan.stages))

    def _written(self) -> Plan:
        """The plan of the pipeline file. Its kinds may be those of `stages`, which need not be installed."""
        path = Path(self.pipeline or "")
        return resolve(load(path, catalog=_Catalog(self.stages)), installed=False)

    def _own(self, planned: PlannedStage) -> PlannedStage:
        if planned.kind in self.stages:
            cls = self.stages[planned.kind]
            planned = replace(planned, cls=cls, options=cls.Options.model_validate(planned.options.model_dump()))
        if planned.kind in self.providers:
            cls_ = self.providers[planned.kind]
            planned = replace(planned, provider=ProviderChoice(cls_.name, cls_, cls_.Options()))
        return planned

    def session(self, conversation: Conversation) -> Evidence:
        """Run the conversation. Returns the record of the session."""
        plan = self.plan(conversation)
        evidence = Evidence(plan)
        live = [cls for cls in self.providers.values() if not needs_only_time(cls)]
        if not live:
            heap_session(plan, evidence)
            return evidence
        kept = {cls: kept_model(cls) for cls in live}
        trio_session(plan, evidence, models={cls: model.value for cls, model in kept.items() if not model.bound})
        return evidence

    def checked(self) -> None:
        """Run a plain conversation. Raises UsageError if no random one could test the providers."""
        if self.providers:
            evidence = self.session(_PLAIN)
            if error := self.failed(evidence):
                raise UsageError(error)

    def failed(self, evidence: Evidence) -> str:
        """What to tell of a provider to be tested, all of whose calls failed; empty if there is none."""
        for stage in evidence.plan.stages:
            said = [step.message for step in evidence.steps if step.stage == stage.id]
            failures = [message.what for message in said if isinstance(message, Failed)]
            if stage.kind in self.providers and failures and not any(isinstance(m, _WORKED) for m in said):
                return f"stage {stage.id!r} is not tested: all calls of its provider fail: {failures[0]}"
        return ""

    def missed(self, evidence: Evidence) -> str:
        """The id of a stage to be tested that handled no message, or whose provider was not called; empty if there is
        none."""
        stages = evidence.plan.stages
        stepped = {step.stage for step in evidence.steps}
        called = {stages[effect.stage].id for _, effect in evidence.effects if isinstance(effect, CallOpened)}
        for stage in stages:
            if (stage.kind in self.stages and stage.id not in stepped) or (
                stage.kind in self.providers and stage.id not in called
            ):
                return stage.id
        return ""


class _Catalog(Installed):
    """The installed stages and providers, and additional stages by kind."""

    def __init__(self, stages: Mapping[str, type[Stage[Any]]]) -> None:
        self._own = stages

    def kinds(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*super().kinds(), *self._own)))

    def stage(self, kind: str) -> type[Stage[Any]]:
        return self._own[kind] if kind in self._own else super().stage(kind)


def _decisions_of(written: Plan, scripted: Plan) -> Plan:
    """The plan of a pipeline file with the scripted providers of a conversation. Tools are never called. An end-of-turn predictor
    stays if it needs only time, and stages of kinds of your own stay as they are."""
    fakes = {stage.kind: stage for stage in scripted.stages}
    stages = tuple(
        replace(stage, provider=fakes[stage.kind].provider, failover=(), options=_frame_of(stage, fakes))
        if stage.kind in fakes
        else stage
        for stage in written.stages
    )
    fits = any(stage.kind == "turn" and stage.provider and needs_only_time(stage.provider.cls) for stage in stages)
    faked = with_fakes(replace(written, stages=stages), {"tools"} if fits else {"tools", "turn"})
    return replace(faked, frame_us=scripted.frame_us, settings={})


def _frame_of(stage: PlannedStage, fakes: Mapping[str, PlannedStage]) -> Any:
    return fakes["mic"].options if stage.kind == "mic" else stage.options


def check_session(conversation: Conversation, **subject: Any) -> Engine:
    """Run a conversation and check all promises. The other arguments are those of ``session_machine`` without `save`.

    In a Hypothesis test, a conversation that does not reach the stage to be tested, or in which all calls of its provider
    fail, is rejected.

    Raises:
        Broken: the session did not keep a promise.
        UsageError: the pipeline has no stage of the kind that is to be tested, the conversation does not reach it, all
            calls of its provider fail, or the provider uses a thread, a process or a socket.
    """
    tested = Subject(**subject)
    evidence = tested.session(conversation)
    check(evidence)
    missed = tested.missed(evidence)
    error = f"stage {missed!r} is not tested: the conversation does not reach it" if missed else tested.failed(evidence)
    if error:
        if currently_in_test_context():
            reject()
        raise UsageError(error)
    return evidence.engine


def pipeline_of(conversation: Conversation) -> str:
    """The conversation as the text of a pipeline file with scripted fakes."""
    fakes = ("mic", "vad", "asr", "turn", "llm", "tts")
    # An end-of-turn predictor stands behind what it judges.
    kinds = [kind for kind in (*PIPELINE[:3], "turn", *PIPELINE[3:]) if kind != "turn" or kind in conversation]
    frame = {"frame": conversation["frame"]} if "frame" in conversation else {}
    stages = [
        {"kind": kind, **({"provider": "scripted"} if kind in fakes else {}), **_plain(conversation.get(kind, {}))}
        for kind in kinds
    ]
    stages[0] |= frame
    return yaml.safe_dump({"flowkit": 1, "stages": stages}, sort_keys=False, allow_unicode=True, width=1_000)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items()}
    return [_plain(below) for below in value] if isinstance(value, list | tuple) else value


def save_trace(conversation: Conversation, path: str | Path, **subject: Any) -> Path:
    """Run a conversation and write it as a trace to `path`, for ``flowkit test``, ``replay`` or ``report``. Replaces an
    existing file.

    The trace's configuration is ``pipeline_of(conversation)``. Raises OutputError if the file cannot be written.
    """
    return _save(Subject(**subject).session(conversation), conversation, Path(path))


def _save(evidence: Evidence, conversation: Conversation, path: Path) -> Path:
    from flowkit.plan.show import show
    from flowkit.trace import open_recorder

    path.unlink(missing_ok=True)
    config = load(path.with_suffix(".yaml").name, text=pipeline_of(conversation))
    recorder = open_recorder(path, evidence.plan, config=show(config, resolve(config)), audio=False)
    recorder.begin()
    recorder.rows(evidence.rows)
    recorder.close(evidence.engine.finished or "closed", queues=queue_reports(evidence.engine.inboxes()))
    return path


def session_machine(
    save: str | Path | None = None, sometimes: Mapping[str, Shows] | None = None, **subject: Any
) -> type[RuleBasedStateMachine]:
    """Make a state machine class. Its ``TestCase`` is a unittest class, which pytest collects under the name that you
    give it.

    Args:
        save: write the trace of a failing conversation to this path. The shrunk one comes last.
        sometimes: what must happen in one of the sessions at least, by its name for people. What never does fails the test.
        pipeline: a pipeline file to test: its stages and queues, with scripted providers instead of its own. Default: flowkit's
            default pipeline.
        stages: your own stage classes, by kind. A kind that flowkit does not have must be in the pipeline file.
        providers: your own provider classes, by kind. If one is not inline, sessions run on the live pump, in virtual time.
    """
    tested = Subject(**subject)

    class RandomSession(SessionMachine):
        subject = tested
        trace = None if save is None else Path(save)
        never: ClassVar[dict[str, Shows]] = dict(sometimes or {})

    # The annotations of Hypothesis take the class for a property.
    case: Any = RandomSession.TestCase

    def run_all(self: Any) -> None:
        case.runTest(self)
        if never := sorted(RandomSession.never):
            raise AssertionError(f"never in any of the sessions: {', '.join(never)}")

    checked = type(case.__name__, (case,), {"runTest": run_all})
    RandomSession.TestCase = checked  # type: ignore[assignment]
    return RandomSession


class SessionMachine(RuleBasedStateMachine):
    """Builds a conversation by its rules, then runs and checks it."""

    subject = Subject()
    trace: Path | None = None
    never: ClassVar[dict[str, Shows]] = {}
    """What has happened in no session so far."""

    unfit: ClassVar[FlowkitError | None] = None
    """Why the providers cannot be tested, found out once for all conversations."""
    tried: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._try()
        self.conversation = Conversation(
            mic={"speech": []},
            vad={"end": "100ms", "start": "40ms"},
            asr={"utterances": ()},
            llm={"first_token": "40ms", "replies": ()},
            tts={"first_audio": "40ms", "per_char": "15ms"},
        )
        self._until_ms = 0

    @initialize(lasts=st.sampled_from((100, 160)))
    def the_user_begins(self, lasts: int) -> None:
        """The user's first utterance, of `lasts` milliseconds."""
        self._speak(0, lasts)

    @precondition(lambda self: len(self.conversation["mic"]["speech"]) < _MOST_SPEECH)
    @rule(
        after=st.one_of(st.integers(0, 45).map(lambda n: 20 * n), st.integers(1, 900)),
        lasts=st.sampled_from((20, 60, 200, 300)),
    )
    def the_user_speaks(self, after: int, lasts: int) -> None:
        """The user speaks for `lasts` milliseconds, `after` milliseconds after the last time: before, during or after
        the reply."""
        self._speak(after, lasts)

    @rule(words=st.lists(st.sampled_from(_WORDS), max_size=8))
    def the_agent_would_say(self, words: list[str]) -> None:
        """Add a reply."""
        self._set("llm", replies=(*self.conversation["llm"]["replies"], {"text": " ".join(words)}))

    @rule(after=st.integers(0, 4))
    def the_llm_fails(self, after: int) -> None:
        """Add a reply that fails after `after` tokens."""
        reply = {"text": "One, two, three. Four.", "fail_after": after}
        self._set("llm", replies=(*self.conversation["llm"]["replies"], reply))

    @rule(first=durations(200), pace=durations(30), stage=st.sampled_from(("llm", "tts", "asr")))
    def a_provider_is_as_fast_as(self, stage: str, first: str, pace: str) -> None:
        """Set the delays of a provider: `first` to its first item, `pace` between items."""
        names = {
            "llm": ("first_token", "per_token"),
            "tts": ("first_audio", "per_piece"),
            "asr": ("final_after", "partial_after"),
        }
        self._set(stage, **dict(zip(names[stage], (first, pace), strict=True)))

    @rule(stage=st.sampled_from(("chunker", "tts", "speaker")), most=st.integers(1, 5))
    def a_queue_holds(self, stage: str, most: int) -> None:
        """Set the bound of a stage's queue."""
        self._set(stage, queue={"max": most})

    @classmethod
    def _try(cls) -> None:
        if not cls.tried:
            cls.tried = True
            try:
                cls.subject.checked()
            except FlowkitError as error:
                cls.unfit = error
        if cls.unfit is not None:
            raise cls.unfit

    def teardown(self) -> None:
        """Run and check the complete conversation. The steps before need no check, because shorter conversations are
        tried too."""
        if not self.conversation["mic"]["speech"]:
            return
        evidence = self.subject.session(self._whole())
        try:
            check(evidence)
        except AssertionError as broken:
            broken.add_note(f"the conversation: {self._whole()!r}")
            if self.trace is not None:
                _save(evidence, self._whole(), self.trace)
            raise
        if self.never:
            report = measure(
                evidence.rows, plan=layout_of(evidence.plan), voiced=None, trace="random", level="simulated"
            )
            for name in [name for name, shows in self.never.items() if shows(report)]:
                del self.never[name]

    def _whole(self) -> Conversation:
        llm = self.conversation["llm"]
        return joined(self.conversation, {"llm": {"replies": llm["replies"] or ({"text": "Yes."},)}})

    def _speak(self, after_ms: int, lasts_ms: int) -> None:
        at_ms = self._until_ms + after_ms
        self._until_ms = at_ms + lasts_ms
        spoken = [*self.conversation["mic"]["speech"], {"at": f"{at_ms}ms", "lasts": f"{lasts_ms}ms"}]
        said = (*self.conversation["asr"]["utterances"], f"Line {len(spoken)}.")
        self.conversation = joined(self.conversation, {"mic": {"speech": spoken}, "asr": {"utterances": said}})

    def _set(self, stage: str, **settings: Any) -> None:
        self.conversation = joined(self.conversation, {stage: settings})
