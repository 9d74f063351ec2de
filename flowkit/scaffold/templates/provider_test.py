"""The provider keeps the contract of its kind, and pipeline files find it."""

from flowkit.providers.registry import find
from flowkit.scaffold.templates.tts import MyTts
from flowkit.testing.provider import check_provider


def test_it_keeps_the_contract_of_a_provider() -> None:
    check_provider(MyTts)


def test_a_pipeline_file_finds_it_by_its_name() -> None:
    # It is not found until the package is installed: pip install -e .
    assert find("tts", "mine") is MyTts
