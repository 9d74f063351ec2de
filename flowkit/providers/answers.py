"""The messages with which a provider may answer each request, and the conversion of its exceptions into ``Failed``."""

from __future__ import annotations

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
    return Failed(_kind(error), f"{provider.name}: {error}{hint}")


def _kind(error: ProviderError) -> str:
    if isinstance(error, CloudError) and error.trouble is Trouble.LENGTH:
        return "length"
    return "malformed" if isinstance(error, Malformed) else "error"


def checked(item: Message, answers: tuple[type[Message], ...], provider: Provider) -> Message:
    """Return `item` if it is one of `answers` and well-formed. Raises Malformed for anything else."""
    if not isinstance(item, answers):
        raise Malformed(f"emitted {type(item).__name__}, which a {provider.kind} provider may not emit")
    if isinstance(item, Audio) and (item.samples < 1 or len(item.pcm) != 2 * item.samples or item.rate_hz < 1):
        raise Malformed(f"emitted malformed audio: {len(item.pcm)} bytes for {item.samples} samples of 16 bits")
    if isinstance(item, Prediction) and not 0 <= item.p <= 1:
        raise Malformed(f"emitted a probability of {item.p}, which is not from 0 to 1")
    if isinstance(item, Token) and not isinstance(item.text, str):
        raise Malformed(f"emitted a token whose text is not a str but {type(item.text).__name__}")
    return item
