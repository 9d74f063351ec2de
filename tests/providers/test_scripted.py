"""The scripted fakes give their declared answers at their declared times, on both pumps."""

from typing import Any

import pytest

from flowkit.engine import Engine
from flowkit.messages import Ask, Audio, Done, Failed, Final, Frames, Message, Partial, Probability, Speak, Token
from flowkit.providers.base import Surroundings
from flowkit.providers.scripted import (
    ScriptedLlm,
    ScriptedReply,
    ScriptedSource,
    ScriptedSpeech,
    ScriptedTts,
)
from flowkit.testing.sessions import heap_session, scripted_plan, trio_session


def said(script: Any, request: Message, most: int = 1_000) -> list[tuple[int, Message]]:
    found = []
    for answer in script.open(request).opened():
        found.append(tuple(answer))
        if len(found) == most:
            break
    return found


AROUND = Surroundings(16_000, 20_000, lambda: 0, lambda line: None)


def llm(**options: Any) -> ScriptedLlm:
    return ScriptedLlm(ScriptedLlm.Options.model_validate(options), AROUND)


def test_the_llm_splits_a_text_at_its_spaces_and_loses_none() -> None:
    answers = said(llm(replies=({"text": " Two  words."},), first_token="10ms", per_token="2ms"), Ask(1, "?"))
    assert answers == [(10_000, Token(0, " Two")), (12_000, Token(1, "  words.")), (12_000, Done())]


def test_replies_go_by_the_user_s_text_then_round_by_turn() -> None:
    script = llm(replies=({"text": "A"}, {"text": "B"}, {"text": "C", "to": "See?"}))
    texts = [said(script, Ask(turn, text))[0][1] for turn, text in ((1, ""), (2, ""), (3, ""), (2, "See?"))]
    assert [token.text for token in texts if isinstance(token, Token)] == ["A", "B", "A", "C"]


def test_the_llm_fails_where_it_is_told_to() -> None:
    answers = said(llm(replies=({"text": "a b c", "fail_after": 2},)), Ask(1, "?"))
    assert [type(item) for _, item in answers] == [Token, Token, Failed, Done]


def test_without_a_reply_it_says_nothing() -> None:
    assert said(llm(first_token="7ms"), Ask(1, "?")) == [(7_000, Done())]
    assert ScriptedReply().tokens == ()


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 48_000])
def test_the_voice_makes_every_sample_of_a_clause_once(rate: int) -> None:
    options = ScriptedTts.Options.model_validate({"rate": rate, "piece": "33ms", "per_char": "17ms"})
    *pieces, (_, done) = said(ScriptedTts(options, AROUND), Speak(3, "Some text."))
    assert done == Done()
    place = 0
    for _, audio in pieces:
        assert isinstance(audio, Audio)
        assert (audio.clause, audio.first_sample, audio.total) == (3, place, 10 * 17_000 * rate // 1_000_000)
        assert len(audio.pcm) == 2 * audio.samples
        place += audio.samples
    assert place == 10 * 17_000 * rate // 1_000_000


def test_the_user_s_voice_sounds_when_it_is_said_to_and_silence_goes_on() -> None:
    options = ScriptedSource.Options(speech=(ScriptedSpeech.model_validate({"at": "40ms", "lasts": "60ms"}),))
    answers = said(ScriptedSource(options, AROUND), Ask(0, ""), most=40)
    frames = [(at_us, item) for at_us, item in answers if isinstance(item, Frames)]
    assert [at_us for at_us, _ in frames] == [20_000 * (i + 1) for i in range(len(frames))]
    assert [item.index for _, item in frames if any(item.pcm)] == [2, 3, 4]
    ends = [at_us for at_us, item in answers if not isinstance(item, Frames)]
    assert ends == [300_000], "at the least 200 ms after the last voice"
    assert len(frames) == 39


def rows_of(engine: Engine, stage: str, kind: type[Message]) -> list[tuple[int, Message]]:
    return [(r.handled_us // 1000, r.message) for r in engine.journal if r.stage == stage and type(r.message) is kind]


@pytest.mark.parametrize("session", [heap_session, trio_session])
def test_the_ears_on_either_pump(session: Any) -> None:
    plan = scripted_plan(
        mic={"speech": [{"at": "100ms", "lasts": "200ms"}]},
        vad={"latency": "7ms", "start": "20ms", "end": "100ms", "voiced": 0.8, "silent": 0.1},
        asr={"utterances": ("One two.",), "final_after": "33ms", "partial_every": "60ms", "partial_after": "11ms"},
    )
    engine = session(plan)
    chances = rows_of(engine, "vad", Probability)
    assert chances[0] == (27, Probability(0, 0.1))
    assert [m.frame for _, m in chances if m.p > 0.5] == list(range(5, 15))  # type: ignore[attr-defined]
    assert rows_of(engine, "asr", Final) == [(407 + 33, Final("One two.", 1))]
    partials = [text for _, text in rows_of(engine, "asr", Partial)]
    assert partials[:2] == [Partial("One"), Partial("One two.")]
