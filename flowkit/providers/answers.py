"""The messages with which a provider may answer each request, and the conversion of its exceptions into ``Failed``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowkit.errors import ProviderError
from flowkit.messages import (
    Ask,
    Audio,
    Capture,
    ClauseEnded,
    ClearInput,
    CommitInput,
    Detect,
    Failed,
    Final,
    Frames,
    InputEnded,
    Message,
    Narrate,
    Partial,
    Predict,
    Prediction,
    Probability,
    RunTools,
    Speak,
    Token,
    ToolCall,
    ToolOutcome,
    Transcribe,
    Typed,
    Usage,
    WordTimes,
)
from flowkit.providers.base import Provider
from flowkit.providers.cloud.faults import CloudError, Trouble

ANSWERS: dict[type[Message], tuple[type[Message], ...]] = {
    Capture: (Frames, InputEnded, Typed, CommitInput, ClearInput),
    Detect: (Probability,),
    Transcribe: (Partial, Final, Usage),
    Predict: (Prediction,),
    Ask: (Token, ToolCall, Usage),
    Speak: (Audio, WordTimes, Usage),
    Narrate: (Audio, WordTimes, ClauseEnded, Usage),
    RunTools: (ToolOutcome,),
}


class Malformed(ProviderError):
    """A provider emitted a message that its kind may not emit, or a damaged one."""


def failure(provider: Provider, error: Exception) -> Failed:
    """The ``Failed`` for an exception that `provider` raised, with the provider's name and the hint in its text."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]  # the first error of a nursery causes the others
    if not isinstance(error, ProviderError):
        return Failed("error", f"{provider.name}: {type(error).__name__}: {error}")
    hint = f" ({error.hint})" if error.hint else ""
    # The text of a provider's own error begins with its kind and name already.
    told = str(error).removeprefix(f"{provider.kind} {provider.name}: ")
    return Failed(_kind(error), f"{provider.name}: {told}{hint}")


def _kind(error: ProviderError) -> str:
    if isinstance(error, CloudError) and error.trouble is Trouble.LENGTH:
        return "length"
    return "malformed" if isinstance(error, Malformed) else "error"


def checked(item: Message, answers: tuple[type[Message], ...], provider: Provider) -> Message:
    """Return `item` if it is one of `answers` and well-formed. Raises Malformed for anything else."""
    if not isinstance(item, answers):
        raise Malformed(f"emitted {type(item).__name__}, which a {provider.kind} provider may not emit")
    if (wrong := _WRONG.get(type(item))) is not None and (what := wrong(item)):
        raise Malformed(f"emitted {what}")
    return item


def _wrong_audio(audio: Audio) -> str:
    if audio.samples < 1 or len(audio.pcm) != 2 * audio.samples or audio.rate_hz < 1:
        return f"malformed audio: {len(audio.pcm)} bytes for {audio.samples} samples of 16 bits"
    return ""


def _wrong_prediction(prediction: Prediction) -> str:
    return "" if 0 <= prediction.p <= 1 else f"a probability of {prediction.p}, which is not from 0 to 1"


def _wrong_token(token: Token) -> str:
    text: object = token.text  # whatever the provider gave
    return "" if isinstance(text, str) else f"a token whose text is not a str but {type(text).__name__}"


_WRONG: dict[type[Message], Callable[[Any], str]] = {
    Audio: _wrong_audio,
    Prediction: _wrong_prediction,
    Token: _wrong_token,
}
"""What is wrong with a message of a kind; empty if nothing is."""
