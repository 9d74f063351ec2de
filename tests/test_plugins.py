"""Entry points of installed packages are found. They are read from a real folder of distributions."""

from pathlib import Path

import pytest

from flowkit import plugins
from flowkit.plugins import Claim, declared, joined, own


def install(folder: Path, package: str, entry_points: str) -> None:
    """A distribution as pip installs it."""
    info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture(autouse=True)
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test reads the path again, and leaves no cached result."""
    monkeypatch.setattr(plugins, "_installed", plugins._installed.__wrapped__)


def test_a_package_is_found_by_its_entry_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path, "parrot", "[flowkit.providers]\nllm.parrot = parrot:Llm\n\n[flowkit.stages]\nwing = parrot:Wing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert declared("flowkit.providers") == (Claim("llm.parrot", "parrot:Llm", "parrot"),)
    assert declared("flowkit.stages") == (Claim("wing", "parrot:Wing", "parrot"),)
    assert declared("flowkit.nothing") == ()


def test_the_projects_own_entry_points_are_no_second_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "flowkit-voice", "[flowkit.providers]\nvad.silero = elsewhere:Vad\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert declared("flowkit.providers") == ()


def test_of_two_copies_of_a_package_the_first_on_the_path_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, target in (("second", "old:Llm"), ("first", "new:Llm")):
        install(tmp_path / folder, "parrot", f"[flowkit.providers]\nllm.parrot = {target}\n")
        monkeypatch.syspath_prepend(tmp_path / folder)
    assert [claim.target for claim in declared("flowkit.providers")] == ["new:Llm"]


def test_claims_to_one_name_are_all_kept() -> None:
    ours = own({"vad.silero": "a:B"})
    other = Claim("vad.silero", "c:D", "other-vad")
    assert joined(ours, (other,)) == {"vad.silero": [Claim("vad.silero", "a:B", "flowkit-voice"), other]}
    assert joined(ours, ()) == ours == own({"vad.silero": "a:B"})
