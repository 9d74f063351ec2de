"""The stage of end-of-turn predictors with single messages."""

from flowkit.messages import Done, Failed, Heard, Message, Partial, Predict, Prediction, TurnSoFar
from flowkit.stages.base import Action, Emit, Feed, Open
from flowkit.stages.predicting import Predicting, PredictingState

LIKELY = Prediction(0.9, "words", 40)


def steps(*messages: Message) -> list[Action]:
    """All that the messages brought."""
    stage, state = Predicting(Predicting.Options()), PredictingState()
    return [action for message in messages for action in stage.step(state, message, 0)]


def test_a_predictor_is_opened_and_its_answer_goes_to_the_vad() -> None:
    stage = Predicting(Predicting.Options())
    assert list(stage.begin(stage.fresh())) == [Open(Predict())]
    assert steps(Partial("Yes.", 40), LIKELY) == [Feed(TurnSoFar("Yes.", "", 40)), Emit("prediction", LIKELY)]


def test_the_agents_last_words_are_told_and_begin_anew_with_each_reply() -> None:
    asked = [Heard(0, "Well. ", 9, 9), Heard(1, "What is your name?", 9, 9)]
    assert steps(*asked, Partial("Anna.")) == [Feed(TurnSoFar("Anna.", "Well. What is your name?"))]
    assert steps(*asked, Heard(0, "And your number?", 9, 9), Partial("5")) == [Feed(TurnSoFar("5", "And your number?"))]


def test_a_busy_predictor_is_asked_only_about_the_newest_words() -> None:
    fed = steps(Partial("I"), Partial("I want"), Partial("I want to"), LIKELY)
    assert fed == [Feed(TurnSoFar("I")), Emit("prediction", LIKELY), Feed(TurnSoFar("I want to"))]


def test_a_predictor_that_is_gone_is_asked_no_more_and_nothing_else_happens() -> None:
    for end in (Failed("error", "gone"), Done()):
        assert steps(Partial("I"), LIKELY, end, Partial("I want")) == [Feed(TurnSoFar("I")), Emit("prediction", LIKELY)]
