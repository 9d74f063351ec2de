"""The worker process of a TTS: loads the voice, then answers requests one at a time.

A thread reads the requests. So a cancel is seen in the middle of a clause, and this process ends as soon as the parent
does: even if the parent is killed, the kernel closes the pipe.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple, Protocol

from flowkit.providers.worker.wire import Frame, FrameKind, audio, read_frame

PIECES_PER_S = 10
"""Audio is sent in pieces of at most 100 ms, so that little of it is stale after a cancel."""


class SpeechPiece(NamedTuple):
    """Audio, s16le mono. `total` is the number of samples in the whole clause if this is its last part, otherwise 0."""

    pcm: bytes
    total: int


class WorkerVoice(Protocol):
    """The interface of a voice in a worker process."""

    rate_hz: int

    def speak(self, text: str) -> Iterator[SpeechPiece]:
        """Synthesize `text`, and yield the audio part by part."""
        ...


def serve(load: Callable[[dict[str, Any]], WorkerVoice]) -> int:
    """Run the worker until the parent closes standard input. `load` makes the voice from its settings.

    Returns an exit code: 1 if the voice cannot be loaded, 0 if the parent closes standard input before it sends the
    settings.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the parent ends this process
    requests, answers = _pipes()
    setup = read_frame(requests)
    if setup is None:
        return 0
    try:
        voice = load(json.loads(setup.payload))
    except Exception as exc:  # the parent reports any error of the library
        _write(answers, Frame(FrameKind.FAILED, 0, _reason(exc)))
        return 1
    _write(answers, Frame(FrameKind.READY, 0, json.dumps({"rate_hz": voice.rate_hz}).encode()))
    _Worker(voice, requests, answers).run()
    return 0


class _Worker:
    def __init__(self, voice: WorkerVoice, requests: BinaryIO, answers: BinaryIO) -> None:
        self._voice = voice
        self._requests = requests
        self._answers = answers
        # The parent has one clause here at a time; cancelled ones may wait a moment longer.
        self._waiting: queue.Queue[Frame] = queue.Queue(maxsize=64)
        self._cancelled: set[int] = set()
        self._writing = threading.Lock()

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            self._answer(self._waiting.get())

    def _listen(self) -> None:
        while (frame := read_frame(self._requests)) is not None:
            if frame.kind is FrameKind.CANCEL:
                self._cancelled.add(frame.request)
            elif frame.kind is FrameKind.PING:
                self._pong(frame.request)
            else:
                self._waiting.put(frame)
        os._exit(0)  # without waiting for the main thread, which may be in the model

    def _pong(self, request: int) -> None:
        """Answer a ping, unless the main thread is writing: its frame shows too that the process runs.

        It does not wait for the lock, because cancels must be read meanwhile.
        """
        if self._writing.acquire(blocking=False):
            try:
                _write(self._answers, Frame(FrameKind.PONG, request))
            except BrokenPipeError:
                os._exit(0)
            finally:
                self._writing.release()

    def _say(self, frame: Frame) -> None:
        with self._writing:
            _write(self._answers, frame)

    def _answer(self, frame: Frame) -> None:
        try:
            self._speak(frame)
            self._say(Frame(FrameKind.DONE, frame.request))
        except BrokenPipeError:
            os._exit(0)
        except Exception as exc:  # the parent reports any error of the library
            self._say(Frame(FrameKind.FAILED, frame.request, _reason(exc)))
        # Requests are answered in order of their numbers. Removed one by one, because the other thread may add one.
        for old in [number for number in tuple(self._cancelled) if number <= frame.request]:
            self._cancelled.discard(old)

    def _speak(self, frame: Frame) -> None:
        size = 2 * (self._voice.rate_hz // PIECES_PER_S)
        # Cancelled while it waited, so the model need not start.
        if frame.request in self._cancelled:
            return
        for spoken in self._voice.speak(frame.payload.decode()):
            for start in range(0, len(spoken.pcm), size):
                if frame.request in self._cancelled:
                    return
                self._say(audio(frame.request, spoken.total, spoken.pcm[start : start + size]))


def _pipes() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, unbuffered. From now on, what a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return sys.stdin.buffer, answers


def _write(stream: BinaryIO, frame: Frame) -> None:
    view = memoryview(frame.packed())
    while view:
        # An unbuffered stream may write only a part.
        view = view[stream.write(view) :]


def _reason(exc: Exception) -> bytes:
    return (str(exc) or type(exc).__name__).encode()[:1000]
