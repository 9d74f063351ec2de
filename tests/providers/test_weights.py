import hashlib
from pathlib import Path

import pytest

from flowkit.errors import ProviderError, ProviderMissing
from flowkit.providers.weights import BUNDLED, Weights, check_digest, megabytes


def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    folder = tmp_path / "toy_weights"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('weights are located, not imported')")
    (folder / "model.bin").write_bytes(content)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_the_right_digest_gives_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, b"right")
    toy = Weights("toy", "toy_weights", "model.bin", hashlib.sha256(b"right").hexdigest(), "pip install toy")
    assert toy.checked() == tmp_path / "toy_weights" / "model.bin"


def test_another_digest_is_refused_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, monkeypatch, b"wrong")
    toy = Weights("toy", "toy_weights", "model.bin", hashlib.sha256(b"right").hexdigest(), "pip install toy")
    with pytest.raises(ProviderError, match=r"damaged or a different file") as caught:
        toy.checked()
    assert hashlib.sha256(b"wrong").hexdigest() in str(caught.value)
    assert "pip install toy" in caught.value.hint


@pytest.mark.parametrize(("name", "file"), [("no_such_package", "x"), ("flowkit", "no_such_file")])
def test_what_is_not_there_says_how_to_get_it(name: str, file: str) -> None:
    with pytest.raises(ProviderMissing, match="toy is not installed") as caught:
        Weights("toy", name, file, "", "pip install toy").path()
    assert caught.value.hint == "pip install toy"


def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProviderError, match="cannot read"):
        check_digest(tmp_path / "none", "", "toy", "")


def test_digests_have_the_form_of_one() -> None:
    assert all(len(bytes.fromhex(weights.sha256)) == 32 for weights in BUNDLED)


def test_sizes_are_for_people() -> None:
    assert megabytes(98_362_432) == "98.4 MB"
