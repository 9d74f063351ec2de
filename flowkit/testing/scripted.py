"""Scripted fakes: providers of every kind with declared answers and times. See ``flowkit.providers.scripted``."""

from flowkit.providers.inline import Agenda, Answer, InlineCall, InlineProvider, Script
from flowkit.providers.scripted import (
    ScriptedAsr,
    ScriptedLlm,
    ScriptedProvider,
    ScriptedReply,
    ScriptedSource,
    ScriptedSpeech,
    ScriptedTools,
    ScriptedTts,
    ScriptedTurn,
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
    "ScriptedTools",
    "ScriptedTts",
    "ScriptedTurn",
    "ScriptedVad",
]
