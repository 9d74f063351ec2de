"""The session object: what a client wants, what the file lets it have, and what then holds.

A session object is read field by field, by one table. Preferences that this server does not have, such as a model's name or
a voice, are left out, and ``session.updated`` shows what holds instead. What would change how the agent behaves and cannot
be had is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowkit.config.serve import Settable
from flowkit.messages import Attend, Instruct
from flowkit.serve.realtime.audio import AudioFormat
from flowkit.serve.realtime.errors import EventRefused, unsupported

AUDIO, TEXT = "audio", "text"
_BETA_FORMATS = {"pcm16": AudioFormat.PCM, "g711_ulaw": AudioFormat.PCMU, "g711_alaw": AudioFormat.PCMA}
_MS = 1000
_FUNCTION = "function"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the pipeline has: names, and the thresholds of its VAD. Without a VAD, `detects` is false. `chooses`: its models heed
    which tool they are to call."""

    model: str
    transcriber: str
    detects: bool = True
    threshold: float = 0.5
    end_us: int = 400_000
    chooses: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a session."""

    instructions: str = ""
    """Empty: those of the file."""
    tools: tuple[Mapping[str, Any], ...] = ()
    choice: str = ""
    """As an `Instruct` has it."""
    modality: str = AUDIO
    input: AudioFormat = AudioFormat.PCM
    output: AudioFormat = AudioFormat.PCM
    transcribes: bool = True
    attend: Attend = field(default_factory=Attend)

    @property
    def instruct(self) -> Instruct:
        """Instructions and tools, as the stages take them."""
        return Instruct(self.instructions, offered(self.tools) if self.tools else "", self.choice)

    def described(self, id: str, defaults: Defaults) -> dict[str, Any]:
        """The session object that holds now."""
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": id,
            "model": defaults.model,
            "output_modalities": [self.modality],
            "instructions": self.instructions,
            "tools": [dict(tool) for tool in self.tools],
            "tool_choice": described_choice(self.choice),
            "max_output_tokens": "inf",
            "audio": {
                "input": {
                    "format": self.input.described,
                    "transcription": {"model": defaults.transcriber} if self.transcribes else None,
                    "noise_reduction": None,
                    "turn_detection": self._turn_detection(defaults),
                },
                "output": {"format": self.output.described, "voice": "default", "speed": 1.0},
            },
            "tracing": None,
            "truncation": "auto",
            "include": None,
        }

    def _turn_detection(self, defaults: Defaults) -> dict[str, Any] | None:
        attend = self.attend
        if not attend.detects or not defaults.detects:
            return None
        return {
            "type": "server_vad",
            "threshold": attend.threshold or defaults.threshold,
            "silence_duration_ms": (attend.end_us or defaults.end_us) // _MS,
            "prefix_padding_ms": 300,
            "create_response": attend.answers,
            "interrupt_response": attend.interrupts,
        }


# -- reading a session object --------------------------------------------------------------------------------------------


def updated(settings: Settings, session: Any, allowed: frozenset[Settable]) -> Settings:
    """The settings after ``session.update``. Raises EventRefused, and then nothing has changed."""
    if not isinstance(session, dict):
        raise EventRefused("invalid_type", "session must be an object.", "session")
    if session.get("type", "realtime") != "realtime":
        raise unsupported(f"A session of type {session['type']!r}", "session.type")
    for path, value in _fields(session, "session"):
        reader = _READERS.get(path.removeprefix("session."))
        if reader is None:
            raise EventRefused("unknown_parameter", f"Unknown parameter: '{path}'.", path)
        settable, read = reader
        after = read(settings, value, path)
        if after != settings and settable is not None and settable not in allowed:
            raise EventRefused("not_allowed", f"This server does not let clients set {settable.value}.", path)
        settings = after
    return settings


def _fields(session: Mapping[str, Any], above: str) -> list[tuple[str, Any]]:
    """Every field with its path. Only the groups of `audio` are looked into."""
    found: list[tuple[str, Any]] = []
    for name, value in session.items():
        path = f"{above}.{name}"
        found += _fields(value, path) if path in _GROUPS and isinstance(value, dict) else [(path, value)]
    return found


_GROUPS = frozenset({"session.audio", "session.audio.input", "session.audio.output"})
_Read = Callable[[Settings, Any, str], Settings]


def _ignored(settings: Settings, value: Any, path: str) -> Settings:
    return settings


def _only(*values: Any) -> _Read:
    """Takes these values alone."""

    def read(settings: Settings, value: Any, path: str) -> Settings:
        if value not in values:
            raise unsupported(f"{path} = {json.dumps(value)[:80]}", path)
        return settings

    return read


def _instructions(settings: Settings, value: Any, path: str) -> Settings:
    if not isinstance(value, (str, type(None))):
        raise EventRefused("invalid_type", f"{path} must be a string.", path)
    return replace(settings, instructions=value or "")


def _tools(settings: Settings, value: Any, path: str) -> Settings:
    return replace(settings, tools=tools_in(value, path))


def offered(tools: Iterable[Mapping[str, Any]]) -> str:
    """Tools as an `Instruct` has them."""
    kept = ("name", "description", "parameters")
    return json.dumps([{name: tool[name] for name in kept} for tool in tools], ensure_ascii=False)


def choice_of(value: Any, path: str) -> str:
    """A `tool_choice` as an `Instruct` has it. Raises EventRefused."""
    if value in (None, "auto"):
        return ""
    if value in ("none", "required"):
        return str(value)
    if isinstance(value, dict) and value.get("type") == "function" and _is_name(value.get("name")):
        return f"{_FUNCTION} {value['name']}"
    raise unsupported(f"{path} = {json.dumps(value)[:80]}", path)


def described_choice(choice: str) -> Any:
    """A `tool_choice` as clients write it."""
    kind, _, name = choice.partition(" ")
    return {"type": kind, "name": name} if name else choice or "auto"


def _choice(settings: Settings, value: Any, path: str) -> Settings:
    return replace(settings, choice=choice_of(value, path))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= 64 and " " not in name


def tools_in(value: Any, path: str) -> tuple[Mapping[str, Any], ...]:
    """A list of tools. Raises EventRefused."""
    if not isinstance(value, (list, type(None))):
        raise EventRefused("invalid_type", f"{path} must be an array.", path)
    tools = tuple(_tool(tool, f"{path}[{n}]") for n, tool in enumerate(value or []))
    if len({tool["name"] for tool in tools}) < len(tools):
        raise EventRefused("invalid_value", "Two tools have the same name.", path)
    return tools


def _tool(tool: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(tool, dict):
        raise EventRefused("invalid_type", f"{path} must be an object.", path)
    if tool.get("type", "function") != "function":
        raise unsupported(f"A tool of type {tool['type']!r}", f"{path}.type")
    name, parameters = tool.get("name"), tool.get("parameters")
    if not _is_name(name):
        raise EventRefused(
            "invalid_value", f"{path}.name must be a string of 1 to 64 characters without spaces.", f"{path}.name"
        )
    if not isinstance(parameters, (dict, type(None))) or not isinstance(tool.get("description") or "", str):
        raise EventRefused("invalid_type", f"{path} has a description or parameters of a wrong type.", path)
    return {
        "type": "function",
        "name": name,
        "description": tool.get("description") or "",
        "parameters": parameters or {},
    }


def modality_of(value: Any, path: str) -> str:
    """The one modality of a list. Both, as beta clients ask for, is audio with its transcript. Raises EventRefused."""
    if not isinstance(value, list) or not value or not set(map(str, value)) <= {AUDIO, TEXT}:
        raise EventRefused("invalid_value", f"{path} must be ['audio'] or ['text'].", path)
    return AUDIO if AUDIO in value else TEXT


def _modality(settings: Settings, value: Any, path: str) -> Settings:
    return settings if value is None else replace(settings, modality=modality_of(value, path))


def format_of(value: Any, path: str) -> AudioFormat:
    """A format as GA clients or beta clients write it. Raises EventRefused."""
    if isinstance(value, str) and value in _BETA_FORMATS:
        return _BETA_FORMATS[value]
    name = value.get("type") if isinstance(value, dict) else value
    if name not in set(AudioFormat):
        raise EventRefused("invalid_value", f"{path} must be one of {', '.join(AudioFormat)}.", path)
    format = AudioFormat(str(name))
    rate = value.get("rate") if isinstance(value, dict) else None
    if rate not in (None, format.rate_hz):
        raise EventRefused("invalid_value", f"{path}.rate must be {format.rate_hz}.", f"{path}.rate")
    return format


def _input(settings: Settings, value: Any, path: str) -> Settings:
    return settings if value is None else replace(settings, input=format_of(value, path))


def _output(settings: Settings, value: Any, path: str) -> Settings:
    return settings if value is None else replace(settings, output=format_of(value, path))


def _transcription(settings: Settings, value: Any, path: str) -> Settings:
    return replace(settings, transcribes=value is not None)


def _turn_detection(settings: Settings, value: Any, path: str) -> Settings:
    if value is None:
        return replace(settings, attend=Attend(detects=False, answers=False, interrupts=False))
    if not isinstance(value, dict) or value.get("type", "server_vad") not in ("server_vad", "semantic_vad"):
        raise EventRefused("invalid_value", f"{path}.type must be 'server_vad' or 'semantic_vad'.", f"{path}.type")
    if value.get("idle_timeout_ms") is not None:
        raise unsupported(f"{path}.idle_timeout_ms", f"{path}.idle_timeout_ms")
    threshold, silence_ms = value.get("threshold"), value.get("silence_duration_ms")
    if not _between(threshold, 0, 1) or not _between(silence_ms, 20, 10_000):
        raise EventRefused("invalid_value", f"{path} has a threshold or silence_duration_ms out of range.", path)
    answers, interrupts = value.get("create_response"), value.get("interrupt_response")
    attend = Attend(
        answers=answers is not False,
        interrupts=interrupts is not False,
        end_us=int((silence_ms or 0) * _MS),
        threshold=float(threshold or 0),
    )
    return replace(settings, attend=attend)


def _between(value: Any, least: float, most: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return value is None or (number and least <= value <= most)


_NAMES = ("type", "object", "id", "model", "tracing", "truncation", "reasoning", "parallel_tool_calls", "expires_at")
_READERS: dict[str, tuple[Settable | None, _Read]] = {
    "instructions": (Settable.INSTRUCTIONS, _instructions),
    "tools": (Settable.TOOLS, _tools),
    "tool_choice": (Settable.TOOLS, _choice),
    "output_modalities": (Settable.OUTPUT_MODALITIES, _modality),
    "audio.input.format": (None, _input),
    "audio.input.transcription": (None, _transcription),
    "audio.input.turn_detection": (Settable.TURN_DETECTION, _turn_detection),
    "audio.input.noise_reduction": (None, _ignored),
    "audio.output.format": (None, _output),
    "audio.output.voice": (None, _ignored),
    "audio.output.speed": (None, _only(None, 1)),
    "max_output_tokens": (None, _only(None, "inf")),
    "prompt": (None, _only(None)),
    "include": (None, _only(None, [])),
    **dict.fromkeys(_NAMES, (None, _ignored)),
    # As beta clients write them.
    "modalities": (Settable.OUTPUT_MODALITIES, _modality),
    "voice": (None, _ignored),
    "temperature": (None, _ignored),
    "speed": (None, _only(None, 1)),
    "input_audio_format": (None, _input),
    "output_audio_format": (None, _output),
    "input_audio_transcription": (None, _transcription),
    "input_audio_noise_reduction": (None, _ignored),
    "turn_detection": (Settable.TURN_DETECTION, _turn_detection),
    "max_response_output_tokens": (None, _only(None, "inf")),
}  # fmt: skip
"""How each field is read, by its path, and what must be allowed for it."""
