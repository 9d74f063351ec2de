"""A new pipeline file for the providers that the user names."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from flowkit.config.catalog import INSTALLED
from flowkit.config.jsonschema import required_keys
from flowkit.config.problems import suggest
from flowkit.config.schema import VERSION
from flowkit.config.validate import field_of
from flowkit.errors import ProviderMissing, UsageError
from flowkit.options import Microseconds, Options, format_duration
from flowkit.providers.base import Provider
from flowkit.providers.registry import served
from flowkit.stages.endpointing import Silences
from flowkit.stages.preempting import Preempt

ORDER = ("mic", "vad", "asr", "turn", "gate", "llm", "chunker", "tts", "speaker")
_PURPOSE = {
    "mic": "sound from the microphone; flowkit run --input FILE reads a WAV file instead",
    "vad": "detects speech and the end of an utterance",
    "asr": "sound to text",
    "turn": "says whether the user's turn seems complete, which chooses the silence in `end` of the vad",
    "gate": "releases an utterance when it has ended, and interrupts the agent when the user speaks",
    "llm": "text to answer, token by token",
    "chunker": "tokens to clauses that can be spoken",
    "tts": "clauses to sound",
    "speaker": "plays it; flowkit run --output FILE writes a WAV file instead",
}
_KEYS: dict[str, tuple[tuple[str, type[Options]], ...]] = {
    "vad": (("end", Silences),),
    "llm": (("# preempt", Preempt),),
}
"""Blocks of a stage that many want, with the models that hold their defaults."""
_INTERRUPT = "# interrupt: {backchannel: ignore, while: {greeting: {min_words: 2}}}"


def template(named: list[str]) -> str:
    """The text of a pipeline with these providers, each ``kind/provider``; flowkit's defaults for the rest.

    Raises:
        UsageError: a name is not ``kind/provider``, or a kind is named twice.
        ProviderMissing: the provider is unknown.
    """
    chosen: dict[str, str] = {}
    for name in named:
        kind, _, provider = name.partition("/")
        if kind not in ORDER or kind in chosen or not provider:
            what = "is named twice" if kind in chosen else "is not kind/provider"
            file = name.endswith((".yaml", ".yml"))
            raise UsageError(
                f"{name!r} {what}", hint=f"flowkit new -o {name}" if file else suggest(kind, ORDER, "kinds")
            )
        if provider not in INSTALLED.providers(kind):
            hint = served(kind, provider) or suggest(provider, INSTALLED.providers(kind))
            raise ProviderMissing(f"unknown provider {provider!r} for kind {kind!r}", hint=hint)
        chosen[kind] = provider
    lines = [
        "# yaml-language-server: $schema=flowkit.schema.json    (written by: flowkit schema -o flowkit.schema.json)"
    ]
    lines += [f"flowkit: {VERSION}", "stages:"]
    for kind in ORDER:
        lines += _stage(kind, chosen.get(kind) or INSTALLED.habits(kind).provider)
    return (
        "\n".join([*lines, "# what interrupts the agent, and what only does in some of its states", _INTERRUPT]) + "\n"
    )


def _stage(kind: str, provider: str | None) -> list[str]:
    lines = [f"  # {_PURPOSE[kind]}", f"  - kind: {kind}"]
    blocks = [f"    {key}: {{{', '.join(_defaults(model))}}}" for key, model in _KEYS.get(kind, ())]
    if provider is None:
        return lines + blocks
    cls = INSTALLED.provider(kind, provider)
    lines.append(f"    provider: {provider}")
    lines += blocks
    needed = required_keys(cls.Options)
    lines += [f"    {key}: {_placeholder(cls, key, provider)}" for key in needed]
    return lines + [f"    # {key}: {value}" for key, value in _optional(cls) if key not in needed]


def _defaults(model: type[Options]) -> list[str]:
    return [f"{name}: {_written(field.default)}" for name, field in model.model_fields.items()]


def _optional(cls: type[Provider]) -> list[tuple[str, str]]:
    """The provider's options with their defaults, as comments. Removing the hash sets one."""
    found = []
    for name, field in cls.Options.model_fields.items():
        if not field.is_required() and isinstance(field.default, (str, int, float)) and field.default != "":
            found.append((field.alias or name, _written(field.default)))
    return found


def _written(value: Any) -> str:
    from flowkit.config.emit import to_yaml

    plain = format_duration(value) if isinstance(value, Microseconds) else getattr(value, "value", value)
    return to_yaml({"x": plain}).removeprefix("x: ").rstrip("\n")


def _placeholder(cls: type[Provider], key: str, provider: str) -> str:
    """A secret comes from the environment, under the name that the provider's own tools use."""
    field = field_of(cls.Options, key)
    if field is not None and field.annotation is SecretStr:
        return f"${{{provider.upper()}_{key.upper()}}}"
    return f"${{{key.upper()}:?{provider} needs {key}}}"
