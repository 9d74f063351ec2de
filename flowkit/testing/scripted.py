"""Scripted fakes with declared timings, public: for users' tests and for flowkit's own."""

from flowkit.providers.inline import Agenda, Answer, InlineCall, InlineProvider, Script
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
    "InlineCall",
    "InlineProvider",
    "Reply",
    "Script",
    "ScriptedAsr",
    "ScriptedLlm",
    "ScriptedProvider",
    "ScriptedSource",
    "ScriptedTts",
    "ScriptedVad",
    "Speech",
]
