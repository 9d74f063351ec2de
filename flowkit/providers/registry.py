"""Finds providers by kind and name: flowkit's own, and those that installed packages declare.

A package declares a provider with an entry point of the group ``flowkit.providers``. Its name is ``kind.name`` (such as
``vad.silero``), and its object is the Provider class. Lookup imports no heavy libraries: a provider's module imports
its libraries only when it loads, and ``missing`` asks the import system without importing them.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from flowkit.errors import ConfigError, ProviderError, ProviderMissing
from flowkit.plugins import Claim, declared, joined, own
from flowkit.providers.base import Provider

GROUP = "flowkit.providers"

# A table, not entry points of flowkit: a source checkout that is not installed has no entry points.
BUILT_IN: Mapping[str, str] = {
    "mic.wav": "flowkit.providers.sound.wav:WavSource",
    "mic.device": "flowkit.providers.sound.device:DeviceMic",
    "mic.memory": "flowkit.providers.sound.memory:MemorySource",
    "mic.scripted": "flowkit.testing.scripted:ScriptedSource",
    "vad.silero": "flowkit.providers.silero:Silero",
    "vad.webrtcvad": "flowkit.providers.webrtcvad:WebRtcVad",
    "vad.scripted": "flowkit.testing.scripted:ScriptedVad",
    "asr.assemblyai": "flowkit.providers.assemblyai.asr:AssemblyAI",
    "asr.moonshine": "flowkit.providers.moonshine.asr:Moonshine",
    "asr.openai_compatible": "flowkit.providers.openai_compatible.asr:OpenAITranscription",
    "asr.scripted": "flowkit.testing.scripted:ScriptedAsr",
    "turn.words": "flowkit.providers.turn_words:TurnWords",
    "turn.smart_turn": "flowkit.providers.turn_smart:SmartTurn",
    "turn.scripted": "flowkit.testing.scripted:ScriptedTurn",
    "gate.typed": "flowkit.providers.typed:TypedLines",
    "llm.groq": "flowkit.providers.groq:Groq",
    "llm.openai_compatible": "flowkit.providers.openai_compatible.llm:OpenAICompatible",
    "llm.llamacpp": "flowkit.providers.llamacpp.llm:LlamaCpp",
    "llm.canned": "flowkit.providers.canned:Canned",
    "llm.scripted": "flowkit.testing.scripted:ScriptedLlm",
    "tts.cartesia": "flowkit.providers.cartesia.tts:Cartesia",
    "tts.openai_compatible": "flowkit.providers.openai_compatible.tts:OpenAISpeech",
    "tts.piper": "flowkit.providers.piper.tts:Piper",
    "tts.nanotts": "flowkit.providers.nanotts.tts:NanoTts",
    "tts.print": "flowkit.providers.printing:Print",
    "tts.scripted": "flowkit.testing.scripted:ScriptedTts",
    "speaker.wav": "flowkit.providers.sound.wav:WavSink",
    "speaker.device": "flowkit.providers.sound.device:DeviceSpeaker",
    "speaker.memory": "flowkit.providers.sound.memory:MemorySink",
    "tools.local": "flowkit.providers.tools.local:LocalTools",
    "tools.scripted": "flowkit.testing.scripted:ScriptedTools",
}
_OWN = own(BUILT_IN)
SERVERS: Mapping[str, tuple[str, str]] = {
    "kokoro": ("tts", "http://127.0.0.1:8880/v1"),
    "lmstudio": ("llm", "http://127.0.0.1:1234/v1"),
    "llamafile": ("llm", "http://127.0.0.1:8080/v1"),
    "llamaserver": ("llm", "http://127.0.0.1:8080/v1"),
    "localai": ("asr llm tts", "http://127.0.0.1:8080/v1"),
    "ollama": ("llm", "http://127.0.0.1:11434/v1"),
    "openai": ("asr llm tts", "https://api.openai.com/v1"),
    "openrouter": ("llm", "https://openrouter.ai/api/v1"),
    "sglang": ("llm", "http://127.0.0.1:30000/v1"),
    "speaches": ("asr tts", "http://127.0.0.1:8000/v1"),
    "vllm": ("asr llm", "http://127.0.0.1:8000/v1"),
}
"""Servers that ``openai_compatible`` talks to: for which kinds, and the address that each has by default. Names have
letters only."""


@dataclass(frozen=True, slots=True)
class ProviderEntry:
    """One line of the table of providers.

    `missing` are modules that are not installed, and `install` is the command for them. `problem` is why the class
    cannot be imported. `licences` are those of the packages and models that it uses, by name. `remote`: it asks a
    server. `tells_tokens`: its speech may be paid by tokens.
    """

    kind: str
    name: str
    package: str
    missing: tuple[str, ...] = ()
    install: str = ""
    problem: str = ""
    licences: tuple[tuple[str, str], ...] = ()
    remote: bool = False
    tells_tokens: bool = False


def find(kind: str, name: str) -> type[Provider]:
    """The class of provider `name` for stages of `kind`. Its libraries may be missing; see `ensure_installed`.

    Raises:
        ProviderMissing: no provider has this name.
        ConfigError: two packages declare it.
        ProviderError: it cannot be imported.
    """
    claims = _claims()
    if f"{kind}.{name}" not in claims:
        raise ProviderMissing(
            f"unknown provider {name!r} for kind {kind!r}", hint=_suggestion(kind, name, list(claims))
        )
    return _load(claims[f"{kind}.{name}"])


def served(kind: str, name: str) -> str:
    """How to use a server that has no provider of its own, such as Ollama. Empty if `name` is none that flowkit
    knows."""
    kinds, address = SERVERS.get("".join(filter(str.isalpha, name.lower())), ("", ""))
    if kind not in kinds.split():
        return ""
    return f'write provider: openai_compatible, base_url: "{address}", model: ...'


def available() -> tuple[ProviderEntry, ...]:
    """Every known provider, sorted by kind and name, with the modules that it lacks."""
    return tuple(_row(claims) for _, claims in sorted(_claims().items()))


def names(kind: str) -> tuple[str, ...]:
    """The names of all providers for `kind`."""
    prefix = f"{kind}."
    return tuple(name.removeprefix(prefix) for name in sorted(_claims()) if name.startswith(prefix))


def missing(cls: type[Provider]) -> tuple[str, ...]:
    """The modules that `cls` requires and that are not installed."""
    return tuple(module for module in cls.requires if find_spec(module) is None)


def has_model(cls: type[Provider]) -> bool:
    """Whether the class overrides ``load``: it has a model, such as weights or connections."""
    return getattr(cls.load, "__func__", None) is not getattr(Provider.load, "__func__", None)


def ensure_installed(cls: type[Provider]) -> None:
    """Raises ProviderMissing, with the install command as its hint, if a module that `cls` requires is not
    installed."""
    if lacking := missing(cls):
        what = ", ".join(lacking)
        raise ProviderMissing(f"{cls.kind} provider {cls.name!r} is not installed (no module {what})", hint=cls.install)


def _claims() -> Mapping[str, list[Claim]]:
    return joined(_OWN, declared(GROUP))


def _load(claims: list[Claim]) -> type[Provider]:
    first = claims[0]
    if len(claims) > 1:
        packages = " and ".join(sorted(claim.package for claim in claims))
        raise ConfigError(f"provider {first.name!r} is declared by {packages}", hint="uninstall one of them")
    module, _, attribute = first.target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise ProviderError(f"provider {first.name!r} of package {first.package} cannot be imported: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, Provider)):
        raise ProviderError(
            f"provider {first.name!r} of package {first.package}: {first.target} is not a Provider class"
        )
    return found


def _row(claims: list[Claim]) -> ProviderEntry:
    kind, _, name = claims[0].name.partition(".")
    package = claims[0].package
    try:
        cls = _load(claims)
    except (ConfigError, ProviderError) as exc:
        return ProviderEntry(kind, name, package, problem=str(exc))
    tells = cls.tells_tokens is not None
    return ProviderEntry(
        kind, name, package, missing(cls), cls.install, licences=cls.licences, remote=cls.remote, tells_tokens=tells
    )


def _suggestion(kind: str, name: str, known: list[str]) -> str:
    if known_server := served(kind, name):
        return known_server
    choices = sorted(entry.partition(".")[2] for entry in known if entry.startswith(f"{kind}."))
    near = difflib.get_close_matches(name, choices, n=1)
    listed = f"available: {', '.join(choices)}" if choices else f"no provider is known for kind {kind!r}"
    return f"did you mean {near[0]!r}? {listed}" if near else listed
