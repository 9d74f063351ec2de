"""The stage does its work, keeps the contract of a stage, and pipeline files find it."""

from flowkit.config.kinds import find
from flowkit.messages import Clause
from flowkit.scaffold.templates.stage import MyStage
from flowkit.stages.base import Emit
from flowkit.testing.stage import check_stage


def test_whole_words_are_not_spoken() -> None:
    stage = MyStage(MyStage.Options(words=("damn",), instead="beep"))
    clause = Clause(0, "Damn this damnation.", "Damn this damnation.", 4, "sentence")
    (action,) = stage.step(None, clause, 0)
    assert isinstance(action, Emit)
    assert isinstance(action.message, Clause)
    assert action.message.spoken == "beep this damnation."
    assert action.message.text == clause.text


def test_it_keeps_the_contract_of_a_stage() -> None:
    check_stage(MyStage)


def test_a_pipeline_file_finds_it_by_its_kind() -> None:
    # It is not found until the package is installed: pip install -e .
    assert find("mine") is MyStage
