"""A TTS that takes a whole reply in one call: the stage, and its journal on both pumps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowkit.messages import (
    Audio,
    Clause,
    ClauseEnded,
    ClauseStarted,
    Commit,
    Done,
    EndOfReply,
    Failed,
    Fault,
    Filler,
    Message,
    Narrate,
    Revoke,
    Speak,
)
from flowkit.plan.graph import Plan
from flowkit.providers.inline import Answer, InlineCall
from flowkit.providers.scripted import ScriptedTts
from flowkit.stages.base import Cancel, Emit, EndInput, Feed, Open
from flowkit.stages.narration import Narration
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session
from flowkit.testing.strategies.conversations import Conversation, conversations


class Narrator(ScriptedTts):
    """The scripted TTS as a continuous one: each clause's audio comes a fixed time after it is fed, and then its
    end."""

    continuous = True

    def open(self, request: Message) -> InlineCall:
        assert isinstance(request, Narrate)
        return InlineCall(fed=self._narrated, ended=lambda: (Answer(self.options.first_audio, Done()),))

    def _narrated(self, item: Message) -> Iterable[tuple[int, Message]]:
        assert isinstance(item, Speak)
        samples, delay_us = 0, self.options.first_audio
        if item.text.strip():
            for _, answer in self.spoken(item):
                if isinstance(answer, Audio):
                    samples += answer.samples
                if not isinstance(answer, Done):
                    yield Answer(delay_us, answer)
        yield Answer(delay_us, ClauseEnded(item.clause, samples))


def narrated(plan: Plan) -> Plan:
    """The plan with a continuous TTS."""
    stages = [
        replace(stage, cls=Narration, provider=replace(stage.provider, cls=Narrator))
        if stage.kind == "tts" and stage.provider is not None
        else stage
        for stage in plan.stages
    ]
    return replace(plan, stages=tuple(stages))


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(conversation=conversations())
def test_both_pumps_give_the_same_journal(conversation: Conversation) -> None:
    plan = narrated(scripted_plan(**conversation))
    ours, theirs = heap_session(plan), trio_session(plan, inline=False)
    assert ours.journal.rows == theirs.journal.rows == trio_session(plan).journal.rows
    assert ours.journal.digest() == theirs.journal.digest()


# -- the reducer -------------------------------------------------------------------------------------------------------


def clause(index: int, text: str = "One.", *, provisional: bool = False) -> Clause:
    return Clause(index, text, text, 1, "sentence", (), provisional)


def test_without_a_chunker_a_filler_is_narrated_like_a_clause() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    assert narration.step(state, Filler("Wait.", 3), 0) == [Open(Narrate()), Feed(Speak(3, "Wait."))]
    audio = Audio(3, 0, 100, 16_000)
    assert narration.step(state, audio, 0) == [Emit("audio", ClauseStarted(3, "", "Wait.")), Emit("audio", audio)]


def test_one_call_a_reply_and_an_end_behind_its_last_clause() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    assert narration.step(state, clause(0), 0) == [Open(Narrate()), Feed(Speak(0, "One."))]
    assert narration.step(state, clause(1, "Two."), 0) == [Feed(Speak(1, "Two."))]
    assert narration.step(state, EndOfReply(), 0) == (EndInput(),)
    assert "clauses" not in narration.accepts(state)
    audio = Audio(0, 0, 100, 16_000)
    assert narration.step(state, audio, 0) == [Emit("audio", ClauseStarted(0, "One.", "One.")), Emit("audio", audio)]
    assert narration.step(state, ClauseEnded(0, 100), 0) == [Emit("audio", ClauseEnded(0, 100))]
    assert narration.step(state, ClauseEnded(1, 0), 0) == [
        Emit("audio", ClauseStarted(1, "Two.", "Two.")),
        Emit("audio", ClauseEnded(1, 0)),
    ]
    assert narration.step(state, Done(), 0) == [Emit("audio", EndOfReply())]
    assert "clauses" in narration.accepts(state)


def test_a_provisional_clause_makes_no_sound_before_its_verdict() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    narration.step(state, clause(0, provisional=True), 0)
    assert narration.accepts(state) == frozenset()
    assert narration.step(state, Revoke(0), 0) == (Cancel(),)
    assert narration.step(state, clause(0, "Other."), 0) == [Open(Narrate()), Feed(Speak(0, "Other."))]


def test_a_committed_clause_is_one_like_any_other() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    narration.step(state, clause(0, provisional=True), 0)
    assert narration.step(state, Commit(0), 0) == ()
    assert "provider" in narration.accepts(state)


def test_what_a_failed_call_left_unsaid_was_not_heard() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    narration.step(state, clause(0), 0)
    narration.step(state, clause(1), 0)
    narration.step(state, Audio(0, 0, 80, 16_000), 0)
    assert narration.step(state, Failed("error", "gone"), 0) == [
        Emit("faults", Fault("tts", "gone")),
        Emit("audio", ClauseEnded(0, 80, whole=False)),
    ]
    assert narration.step(state, EndOfReply(), 0) == (Emit("audio", EndOfReply()),)


def test_a_voice_that_stops_before_it_has_said_everything_has_failed() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    narration.step(state, clause(0), 0)
    fault = Fault("tts", "the voice stopped before it had said everything")
    assert narration.step(state, Done(), 0) == [Emit("faults", fault)]
    assert narration.step(state, EndOfReply(), 0) == (Emit("audio", EndOfReply()),)


def test_a_voice_that_fails_again_and_again_is_not_asked_for_the_rest_of_the_reply() -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    opened = [
        Open(Narrate()) in (*narration.step(state, clause(i), 0), narration.step(state, Failed("error", "gone"), 0))
        for i in range(5)
    ]
    assert opened == [True, True, True, False, False]
    narration.step(state, EndOfReply(), 0)
    assert Open(Narrate()) in narration.step(state, clause(0), 0)


@given(st.lists(st.sampled_from(["", "One.", "Two three."]), max_size=6))
def test_every_clause_that_ends_had_begun(texts: list[str]) -> None:
    narration = Narration(Narration.Options())
    state = narration.fresh()
    marks: list[Message] = []
    for index, text in enumerate(texts):
        narration.step(state, clause(index, text), 0)
    for index in range(len(texts)):
        actions = narration.step(state, ClauseEnded(index, 0), 0)
        marks += [action.message for action in actions if isinstance(action, Emit)]
    assert [type(mark) for mark in marks] == [ClauseStarted, ClauseEnded] * len(texts)
