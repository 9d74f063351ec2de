"""Scripted fakes with declared timings, public: for users' tests and for flowkit's own."""

from flowkit.providers.script import Agenda, Answer, Script, ScriptCall
from flowkit.providers.scripted import (
    Reply,
    ScriptedAsr,
    ScriptedLlm,
    ScriptedProvider,
    ScriptedSource,
    ScriptedTts,
    ScriptedVad,
    Speech,
)

__all__ = [
    "Agenda",
    "Answer",
    "Reply",
    "Script",
    "ScriptCall",
    "ScriptedAsr",
    "ScriptedLlm",
    "ScriptedProvider",
    "ScriptedSource",
    "ScriptedTts",
    "ScriptedVad",
    "Speech",
]
