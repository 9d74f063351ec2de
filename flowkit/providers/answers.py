"""What a provider may say to each request, and how whatever it raises becomes the call's failure, here and nowhere else."""

from __future__ import annotations

from flowkit.errors import ProviderError
from flowkit.messages import (
    Ask,
    Audio,
    Capture,
    ClauseEnded,
    Detect,
    Failed,
    Final,
    Frames,
    InputEnded,
    Message,
    Narrate,
    Partial,
    Probability,
    Speak,
    Token,
    Transcribe,
    Typed,
    WordTimes,
)
from flowkit.providers.base import Provider
from flowkit.providers.cloud.faults import CloudError, Trouble

ANSWERS: dict[type[Message], tuple[type[Message], ...]] = {
    Capture: (Frames, InputEnded, Typed),
    Detect: (Probability,),
    Transcribe: (Partial, Final),
    Ask: (Token,),
    Speak: (Audio, WordTimes),
    Narrate: (Audio, WordTimes, ClauseEnded),
}


class Malformed(ProviderError):
    """A provider gave what it may not give."""


def failure(provider: Provider, error: Exception) -> Failed:
    """What a provider raised, for people; of a group that its nursery made, the first says why the others came."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if not isinstance(error, ProviderError):
        return Failed("error", f"{provider.name}: {type(error).__name__}: {error}")
    hint = f" ({error.hint})" if error.hint else ""
    return Failed(_kind(error), f"{provider.name}: {error}{hint}")


def _kind(error: ProviderError) -> str:
    if isinstance(error, CloudError) and error.trouble is Trouble.LENGTH:
        return "length"
    return "malformed" if isinstance(error, Malformed) else "error"


def checked(item: Message, answers: tuple[type[Message], ...], provider: Provider) -> Message:
    """`item`, if a provider of this kind may say it. Raises Malformed for anything else."""
    if not isinstance(item, answers):
        raise Malformed(f"gave a {type(item).__name__}, which a {provider.kind} provider may not")
    if isinstance(item, Audio) and (item.samples < 1 or len(item.pcm) != 2 * item.samples or item.rate_hz < 1):
        raise Malformed(f"gave malformed audio: {len(item.pcm)} bytes for {item.samples} samples of 16 bits")
    if isinstance(item, Token) and not isinstance(item.text, str):
        raise Malformed(f"gave a token that is no text but {type(item.text).__name__}")
    return item
