"""What every stage promises, and that pipeline files find this one."""

from flowkit.config.kinds import find
from flowkit.scaffold.templates.stage import MyStage
from flowkit.testing.stage import check_stage


def test_it_keeps_what_every_stage_promises() -> None:
    check_stage(MyStage)


def test_a_pipeline_file_finds_it_by_its_kind() -> None:
    assert find("mine") is MyStage, "is the package installed? pip install -e ."
