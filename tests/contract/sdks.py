"""The providers' official SDKs, each as one function that makes the same request as flowkit's provider.

They run in the calling thread, and in threads or loops of their own. A pool of the tests runs many at a time, because
each takes up to a second to end.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.contract.support import QUIET, VOICE

WITHIN_S = 1.0
"""What a request may take before it counts as silent."""


@dataclass
class Sdk:
    """The result of an SDK call: `end` is ok, silent, or the name of the exception that the SDK raised."""

    end: str = "ok"
    text: str = ""
    samples: int = 0
    words: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    """Id, name and arguments of each tool call, by its index."""


def groq_chat(url: str, key: str, body: dict[str, Any]) -> Sdk:
    """A streamed chat completion with the sync client, without the SDK's own retries."""
    import groq

    outcome = Sdk()
    client = groq.Groq(api_key=key, base_url=url, max_retries=0, timeout=WITHIN_S)
    try:
        for chunk in client.chat.completions.create(**body):
            for choice in chunk.choices or []:
                outcome.text += choice.delta.content or ""
                for piece in choice.delta.tool_calls or []:
                    call = outcome.calls.setdefault(piece.index, ["", "", ""])
                    call[0] = call[0] or piece.id or ""
                    if piece.function is not None:
                        call[1] += piece.function.name or ""
                        call[2] += piece.function.arguments or ""
    except Exception as error:
        outcome.end = "silent" if "Timeout" in type(error).__name__ else type(error).__name__
    finally:
        client.close()
    return outcome


def cartesia_speak(url: str, key: str, clauses: list[str], request: dict[str, Any]) -> Sdk:
    """Send clauses into one context, each with a flush, and then the end of the reply."""
    from cartesia import Cartesia

    outcome = Sdk()
    client = Cartesia(api_key=key, websocket_base_url=url, max_retries=0)
    try:
        with client.tts.websocket_connect(websocket_connection_options={"open_timeout": WITHIN_S}) as connection:
            for place, text in enumerate(clauses):
                connection.send(request | {"transcript": text if not place else f" {text}", "continue": True})
                connection.send(request | {"transcript": "", "continue": True, "flush": True})
            connection.send(request | {"transcript": "", "continue": False})
            while True:
                event = connection.parse_event(connection.recv_bytes(timeout=WITHIN_S))
                if event.type == "chunk":
                    outcome.samples += len(event.audio or b"") // 2
                elif event.type == "timestamps" and event.word_timestamps is not None:
                    outcome.words += event.word_timestamps.words
                elif event.type == "error":
                    outcome.end = f"error event {event.status_code}"
                    break
                elif event.type == "done":
                    break
    except Exception as error:
        outcome.end = "silent" if isinstance(error, TimeoutError) else type(error).__name__
    finally:
        client.close()
    return outcome


def assemblyai_listen(url: str, key: str, parameters: dict[str, Any], voiced: int = 40, silent: int = 25) -> Sdk:
    """Send one utterance and force its end.

    The result is silent if neither an end of turn nor an error comes in time.
    """
    from assemblyai.streaming.v3 import (
        StreamingClient,
        StreamingClientOptions,
        StreamingEvents,
        StreamingParameters,
    )

    outcome = Sdk(end="silent")
    over = threading.Event()
    options = StreamingClientOptions(
        api_host=url, api_key=key, connect_timeout=WITHIN_S, max_connection_retries=0, terminate_timeout=0.3
    )
    client = StreamingClient(options)

    def turn(_: Any, event: Any) -> None:
        if event.end_of_turn and event.turn_is_formatted == bool(parameters.get("format_turns")):
            outcome.text, outcome.end = event.transcript, "ok"
            over.set()

    def failed(_: Any, error: Any) -> None:
        outcome.end = f"error callback {error.code}"
        over.set()

    client.on(StreamingEvents.Turn, turn)
    client.on(StreamingEvents.Error, failed)
    try:
        client.connect(StreamingParameters(**parameters))
        for place in range(0, voiced + silent, 3):
            client.stream(b"".join(VOICE if place + i < voiced else QUIET for i in range(3)))
            time.sleep(0.002)
        client.force_endpoint()
        over.wait(WITHIN_S)
    except Exception as error:
        outcome.end = type(error).__name__
    finally:
        client.disconnect(terminate=True)
    return outcome


def openai_speak(client: Any, key: str, request: dict[str, Any]) -> Sdk:
    """Streamed speech, as raw samples."""
    outcome = Sdk()
    try:
        with client.with_options(api_key=key).audio.speech.with_streaming_response.create(**request) as response:
            outcome.samples = sum(len(data) for data in response.iter_bytes()) // 2
    except Exception as error:
        outcome.end = _ending(error)
    return outcome


def openai_transcribe(client: Any, key: str, wav: bytes, request: dict[str, Any]) -> Sdk:
    """The transcript of a WAV file."""
    outcome = Sdk()
    try:
        file = ("speech.wav", wav)
        outcome.text = client.with_options(api_key=key).audio.transcriptions.create(file=file, **request).text
    except Exception as error:
        outcome.end = _ending(error)
    return outcome


def openai_client(url: str) -> Any:
    """One for all requests: to make one takes a tenth of a second."""
    import openai

    return openai.OpenAI(api_key="any", base_url=f"{url}/v1", max_retries=0, timeout=3 * WITHIN_S)


def _ending(error: Exception) -> str:
    return "silent" if "Timeout" in type(error).__name__ else type(error).__name__
