"""The stage keeps the contract of a stage, and pipeline files find it."""

from flowkit.config.kinds import find
from flowkit.scaffold.templates.stage import MyStage
from flowkit.testing.stage import check_stage


def test_it_keeps_the_contract_of_a_stage() -> None:
    check_stage(MyStage)


def test_a_pipeline_file_finds_it_by_its_kind() -> None:
    assert find("mine") is MyStage, "is the package installed? pip install -e ."
