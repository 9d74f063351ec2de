"""Scripted fakes with declared timings, public: for users' tests and for flowkit's own."""

from flowkit.providers.inline import Agenda, Answer, InlineCall, InlineProvider, Script
from flowkit.providers.scripted import (
    ScriptedAsr,
    ScriptedLlm,
    ScriptedProvider,
    ScriptedReply,
    ScriptedSource,
    ScriptedSpeech,
    ScriptedTts,
    ScriptedVad,
)

__all__ = [
    "Agenda",
    "Answer",
    "InlineCall",
    "InlineProvider",
    "Script",
    "ScriptedAsr",
    "ScriptedLlm",
    "ScriptedProvider",
    "ScriptedReply",
    "ScriptedSource",
    "ScriptedSpeech",
    "ScriptedTts",
    "ScriptedVad",
]
