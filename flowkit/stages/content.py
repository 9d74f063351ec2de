"""The kinds of content that a stage's ports may have, and the messages of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowkit import messages as m
from flowkit.messages import Message
from flowkit.stages.base import Stage

CONTENT: Mapping[str, tuple[type[Message], ...]] = {
    "audio": (m.Frames, m.CommitInput, m.ClearInput),
    "end": (m.InputEnded,),
    "endpoint": (m.EndOfUtterance, m.InputEnded),
    "transcript": (m.Partial, m.Final, m.InputEnded),
    "utterance": (m.Utterance,),
    "tokens": (m.Token, m.EndOfStep, m.Filler, m.EndOfReply),
    "clauses": (m.Clause, m.EndOfStep, m.EndOfReply),
    "voice": (m.ClauseStarted, m.Audio, m.WordTimes, m.ClauseEnded, m.EndOfStep, m.EndOfReply),
    "speech": (m.SpeechStarted, m.SpeechLasted, m.SpeechStopped),
    "prediction": (m.Prediction,),
    "turn": (m.Interrupt, m.Released, m.Shutdown),
    "hold": (m.Hold, m.Resume),
    "verdict": (m.Commit, m.Revoke),
    "progress": (m.Fault, m.Heard, m.PlaybackStarted, m.ReplyPlayed, m.Acted, m.EndSession),
    "calls": (m.ToolCall,),
    "outcomes": (m.ToolOutcome, m.Filler),
}
"""The types of messages on an edge, by the edge's content."""


def unknown_content(cls: type[Stage[Any]]) -> list[str]:
    """The content of its ports that no stage of flowkit knows, and that a trace cannot hold."""
    used = {*cls.outputs.values(), *(kind for kinds in cls.inputs.values() for kind in kinds)}
    return sorted(used - set(CONTENT))
