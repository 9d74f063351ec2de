"""What every provider promises, and that pipeline files find this one."""

from flowkit.providers.registry import find
from flowkit.scaffold.templates.tts import MyTts
from flowkit.testing.provider import check_provider


def test_it_keeps_what_every_provider_promises() -> None:
    check_provider(MyTts)


def test_a_pipeline_file_finds_it_by_its_name() -> None:
    assert find("tts", "mine") is MyTts, "is the package installed? pip install -e ."
