"""Emulates AssemblyAI's streaming speech recognition (v3).

It recognises nothing: it sends the words of declared turns, one for each `word_ms` of audio that is not silent.
https://www.assemblyai.com/docs/streaming/message-sequence
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowkit.testing.emulators.faults import ServerFault
from flowkit.testing.emulators.sockets import SocketEmulator, Talk

_BYTES_PER_MS = 2


@dataclass(slots=True)
class EmulatedSession:
    """One session.

    `audio_ms` is the length of the received audio, and `voiced_ms` that of the voiced audio in this turn. `words` are
    the words of this turn so far, and `order` is the number of the turn.
    """

    rate: int
    formatted: bool
    audio_ms: int = 0
    voiced_ms: int = 0
    said: int = 0
    order: int = 0
    words: list[dict[str, Any]] = field(default_factory=list)


class AssemblyAIEmulator(SocketEmulator):
    """An emulator of AssemblyAI. Only digital silence counts as silence.

    `said` counts the turns that have ended in all sessions, so that a new connection continues after the last turn. After all
    of `turns` they begin again.

    Args:
        turns: the texts of the user's turns, in order.
        word_ms: how much voiced audio makes a word, in milliseconds.
        more: the arguments of ``Emulator``.
    """

    name = "assemblyai"

    def __init__(
        self, *, turns: tuple[str, ...] = ("what is the capital of france",), word_ms: int = 100, **more: Any
    ) -> None:
        super().__init__(**more)
        self.turns = turns
        self.word_ms = word_ms
        self.said = 0

    async def session(self, talk: Talk) -> None:
        query = talk.seen.query
        session = EmulatedSession(
            int(query.get("sample_rate", "16000")), query.get("format_turns", "").lower() == "true"
        )
        if query.get("speech_model", "").startswith("no-such"):
            await talk.say({"type": "Error", "error_code": 3006, "error": "Invalid speech model"})
            await talk.close(3006, "Invalid speech model")
            return
        begin = {"type": "Begin", "id": "3207b601", "expires_at": 1_900_000_000}
        await talk.say(begin | {"configuration": {"model": query.get("speech_model"), "api_version": "1.0.0"}})
        while await self._take(talk, session, await talk.hear()):
            pass

    async def _take(self, talk: Talk, session: EmulatedSession, message: Any) -> bool:
        if isinstance(message, bytes):
            return await self._audio(talk, session, message)
        match message.get("type"):
            case "ForceEndpoint":
                if talk.fault is not ServerFault.NO_FORCE:
                    await self._end(talk, session)
            case "Terminate":
                seconds = session.audio_ms // 1000
                await talk.say(
                    {"type": "Termination", "audio_duration_seconds": seconds, "session_duration_seconds": seconds}
                )
                await talk.close(1000)
                return False
            case "UpdateConfiguration" | "KeepAlive":
                pass
            case kind:
                await talk.close(3006, f"Invalid Message Type: {kind}")
                return False
        return True

    async def _audio(self, talk: Talk, session: EmulatedSession, pcm: bytes) -> bool:
        lasts_ms = len(pcm) * 1000 // (_BYTES_PER_MS * session.rate)
        if not 50 <= lasts_ms <= 1000:
            await talk.close(3007, f"Input duration violation: {lasts_ms} ms. Expected between 50 and 1000 ms")
            return False
        session.audio_ms += lasts_ms
        if any(pcm):
            session.voiced_ms += lasts_ms
            await self._words(talk, session)
        elif talk.fault is ServerFault.SELF_ENDED and session.words:
            await self._end(talk, session)
        return True

    def _texts(self) -> list[str]:
        return self.turns[self.said % len(self.turns)].split() if self.turns else []

    async def _words(self, talk: Talk, session: EmulatedSession) -> None:
        """Send one more word for each `word_ms` of voiced audio. The last word is not final yet."""
        texts = self._texts()
        due = min(session.voiced_ms // self.word_ms, len(texts))
        while len(session.words) < due:
            if not session.words:
                await talk.meet(error=_failure, first=True)
                await talk.say({"type": "SpeechStarted", "timestamp": session.audio_ms})
            if len(session.words) == max(1, len(texts) // 2):
                await self._middle(talk)
            for word in session.words:
                word["word_is_final"] = True
            end = session.audio_ms
            word = {"start": end - self.word_ms, "end": end, "confidence": 0.98, "text": texts[len(session.words)]}
            session.words.append(word | {"word_is_final": False})
            await talk.say(self._turn(session, ended=False, formatted=False))
            if talk.fault is ServerFault.DUPLICATE:
                await talk.say(self._turn(session, ended=False, formatted=False))

    async def _middle(self, talk: Talk) -> None:
        if talk.fault is ServerFault.MISSING_FIELD:
            await talk.say({"type": "Turn", "end_of_turn": False})
        elif talk.fault is ServerFault.WRONG_SCHEMA:
            await talk.say({"type": "Turn", "turn_order": "zero", "transcript": 7, "words": {}})
        await talk.meet(error=_failure, first=False)

    async def _end(self, talk: Talk, session: EmulatedSession) -> None:
        """End the turn. With `format_turns` its formatted text is sent after the unformatted one."""
        for word in session.words:
            word["word_is_final"] = True
        ends = [False, True] if session.formatted else [False]
        if talk.fault is ServerFault.DUPLICATE:
            ends *= 2
        for formatted in ends:
            await talk.say(self._turn(session, ended=True, formatted=formatted))
        if talk.fault is ServerFault.LATE and session.words:
            await talk.say(self._turn(session, ended=False, formatted=False))
        if session.words:
            self.said += 1
        session.order += 1
        session.words, session.voiced_ms = [], 0

    def _turn(self, session: EmulatedSession, *, ended: bool, formatted: bool) -> dict[str, Any]:
        final = " ".join(word["text"] for word in session.words if word["word_is_final"])
        return {
            "type": "Turn",
            "turn_order": session.order,
            "turn_is_formatted": formatted,
            "end_of_turn": ended,
            "transcript": f"{final.capitalize()}." if formatted and final else final,
            "end_of_turn_confidence": 0.9 if ended else 0.1,
            "words": [dict(word) for word in session.words],
        }


def _failure() -> dict[str, Any]:
    return {"type": "Error", "error_code": 3005, "error": "Session Cancelled: An error occurred"}
