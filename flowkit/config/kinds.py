"""The kinds of stages: flowkit's own, and those that installed packages add through the entry point group
``flowkit.stages``.

The name of an entry point is the kind, and its object is the Stage class. A kind is imported only when a file names it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowkit.errors import ConfigError
from flowkit.plugins import Claim, declared, joined, own
from flowkit.stages.base import Stage
from flowkit.stages.content import CONTENT, unknown_content

GROUP = "flowkit.stages"

BUILT_IN: Mapping[str, str] = {
    "mic": "flowkit.stages.source:Source",
    "vad": "flowkit.stages.endpointing:Endpointing",
    "asr": "flowkit.stages.transcription:Transcription",
    "turn": "flowkit.stages.predicting:Predicting",
    "gate": "flowkit.stages.gate:Gate",
    "llm": "flowkit.stages.llm:LlmTurn",
    "chunker": "flowkit.stages.chunking:Chunking",
    "tts": "flowkit.stages.tts:TtsOrder",
    "speaker": "flowkit.stages.playback:Playback",
    "tools": "flowkit.stages.tools:ToolRunner",
}
_OWN = own(BUILT_IN)


@dataclass(frozen=True, slots=True)
class Habits:
    """The defaults of a kind: who does its work, how much may wait, how long a call may be silent. `provider` is None
    for a pure decision, and for mic and speaker, where it depends on the machine."""

    provider: str | None = None
    serves: bool = True
    """Whether the kind has providers at all."""
    queue: int = 16
    first_item: str | None = None
    idle: str | None = None


HABITS: Mapping[str, Habits] = {
    "mic": Habits(),
    "vad": Habits("silero", queue=50),
    "asr": Habits("moonshine", queue=50),
    "turn": Habits("words"),
    "gate": Habits(serves=False),
    "llm": Habits("llamacpp", queue=4, first_item="10s", idle="10s"),
    "chunker": Habits(serves=False, queue=50),
    "tts": Habits("piper", queue=3, first_item="10s", idle="10s"),
    "speaker": Habits(queue=25),
    "tools": Habits("local"),
}


def habits(kind: str) -> Habits:
    """The defaults of a kind. A custom kind has small ones, and no provider unless the file names one."""
    return HABITS.get(kind, Habits(serves=False))


def names() -> tuple[str, ...]:
    """Every kind that is installed, flowkit's own first."""
    return tuple(_claims())


def added() -> tuple[Claim, ...]:
    """The kinds that installed packages add to flowkit's own."""
    return declared(GROUP)


def find(kind: str) -> type[Stage[Any]]:
    """The class of stages of this kind.

    Raises KeyError for an unknown kind. Raises ConfigError if two packages declare it, if it cannot be imported, or if
    its ports have content that flowkit does not know.
    """
    claims = _claims()[kind]
    if len(claims) > 1:
        packages = " and ".join(sorted(claim.package for claim in claims))
        raise ConfigError(f"kind {kind!r} is declared by {packages}", hint="uninstall one of them")
    package, target = claims[0].package, claims[0].target
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as exc:
        raise ConfigError(f"kind {kind!r} of package {package} cannot be imported: {exc}") from exc
    if not (isinstance(found, type) and issubclass(found, Stage)):
        raise ConfigError(f"kind {kind!r} of package {package}: {target} is not a Stage class")
    if unknown := ", ".join(map(repr, unknown_content(found))):
        what = f"kind {kind!r} of package {package}: {target} has ports with unknown content {unknown}"
        raise ConfigError(what, hint=f"known are {', '.join(CONTENT)}")
    return found


def _claims() -> Mapping[str, list[Claim]]:
    return joined(_OWN, declared(GROUP))
