"""Speech as server-sent events: pieces of audio, and at the end what was used.

https://platform.openai.com/docs/api-reference/audio/speech-audio-delta-event
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from flowkit.messages import Usage
from flowkit.providers.cloud.completions import DONE, Events
from flowkit.providers.cloud.faults import CloudError, Trouble, schema
from flowkit.providers.cloud.keys import body_message
from flowkit.providers.cloud.text import json_object
from flowkit.providers.openai_compatible.usage import used_of


class SpeechEvents:
    """The audio in a stream of events."""

    def __init__(self) -> None:
        self._events = Events()
        self._used: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        """The audio that `data` completes. Raises CloudError for an event that is none of speech."""
        return b"".join(self._audio(json_object(said)) for _, said in self._events.feed(data) if said != DONE)

    def whole(self) -> Usage:
        """What was used. Raises CloudError if the stream has ended before its last event."""
        if self._used is None:
            raise CloudError(Trouble.NETWORK, "the speech broke off: the stream ended without speech.audio.done")
        return self._used

    def _audio(self, event: dict[str, Any]) -> bytes:
        match event.get("type"):
            case "speech.audio.delta":
                try:
                    return base64.b64decode(event["audio"], validate=True)
                except (KeyError, TypeError, ValueError, binascii.Error) as error:
                    raise schema("a piece of speech without audio") from error
            case "speech.audio.done":
                self._used = used_of(event.get("usage"))
            case "error":
                raise CloudError(Trouble.SERVER, f"the speech broke off: {body_message(event) or 'an error'}")
        return b""
