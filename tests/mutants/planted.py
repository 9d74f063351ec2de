# ruff: noqa: E501
"""Realistic changes to plant in flowkit's source, one at a time. ``run.py`` says which of them the kept traces catch.

Each replaces a text that must occur exactly once, so that a change of the source that moves it fails loudly.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FLOWKIT = Path(__file__).resolve().parents[2] / "flowkit"


class Mutant(NamedTuple):
    """A planted change."""

    name: str
    stage: str
    """The stage that behaves differently, by the id that it has in the kept traces."""
    file: str
    """The file below ``flowkit/``."""
    old: str
    new: str
    unseen: str = ""
    """Why exact replay cannot show it."""

    def source(self, folder: Path = FLOWKIT) -> str:
        """The changed source. Raises ValueError if the text to replace is not there exactly once."""
        text = (folder / self.file).read_text("utf-8")
        if (count := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {self.file} has {self.old!r} {count} times: adapt the mutant to the source")
        return text.replace(self.old, self.new)


_VAD, _GATE, _LLM = "stages/endpointing.py", "stages/gate.py", "stages/llm.py"
_PAST = "stages/past.py"
_CHUNKING, _TTS, _PLAYBACK = "stages/chunking.py", "stages/tts.py", "stages/playback.py"
_CORE, _MAILBOX = "engine/core.py", "engine/mailbox.py"
_SCRIPTED, _NO_PROVIDER = "providers/scripted.py", "exact replay asks no provider"
_CONTRACT = f"{_NO_PROVIDER}, and nor does the test of a trace: tests/contract shows it with a server"

MUTANTS = (
    # -- endpointing
    Mutant(
        "an utterance ends a frame early",
        "vad",
        _VAD,
        "ended = silence_us >= least_us",
        "ended = silence_us + self.frame_us >= least_us",
    ),
    Mutant("no hysteresis", "vad", _VAD, "state.release if voice in _VOICED else state.threshold", "state.threshold"),
    Mutant(
        "`start` counts one frame less",
        "vad",
        _VAD,
        "(frame - state.rise + 1) * self.frame_us < self.options.start",
        "(frame - state.rise + 2) * self.frame_us < self.options.start",
    ),
    Mutant(
        "a long utterance is not cut",
        "vad",
        _VAD,
        "        if frame < self._last_of(state):\n            return NOTHING\n",
        "        if frame >= 0:\n            return NOTHING\n",
    ),
    Mutant(
        "no pause is reported",
        "vad",
        _VAD,
        '            state.voice = Voice.PAUSED\n            actions.append(Emit("speech", SpeechStopped(state.last_voiced)))',
        "            state.voice = Voice.PAUSED",
    ),
    Mutant(
        "the voice's length is counted from its first frame",
        "vad",
        _VAD,
        "            state.noticed, state.lasted = frame, 0\n",
        "            state.noticed, state.lasted = state.since, 0\n",
    ),
    # -- transcription
    Mutant(
        "the ASR gets no sound",
        "asr",
        "stages/transcription.py",
        "if kind is Frames or kind is SpeechStarted or kind is SpeechStopped:",
        "if kind is SpeechStarted or kind is SpeechStopped:",
    ),
    Mutant(
        "the ASR is not told where speech begins",
        "asr",
        "stages/transcription.py",
        "if kind is Frames or kind is SpeechStarted or kind is SpeechStopped:\n            return (new(Feed, (message,)),)",
        "if kind is Frames or kind is SpeechStarted or kind is SpeechStopped:\n            return (new(Feed, (message,)),) if kind is not SpeechStarted else NOTHING",
    ),
    Mutant(
        "partial transcripts are lost",
        "asr",
        "stages/transcription.py",
        '        if isinstance(message, Partial):\n            return (Emit("transcript", message),)',
        "        if isinstance(message, Partial):\n            return NOTHING",
    ),
    # -- gate
    Mutant(
        "ignored words interrupt",
        "gate",
        "stages/interrupting.py",
        "self.ignored.without(found, incomplete=incomplete) if self.ignored else found",
        "found",
    ),
    Mutant(
        "a withdrawn interruption's words count",
        "gate",
        _GATE,
        "if has_words(final.text) and final.utterance != state.withdrawn else",
        "if has_words(final.text) else",
    ),
    Mutant("a hold is never ended by time", "gate", _GATE, "_EVENT_OF_TIMER[tag]", "None"),
    Mutant(
        "the history gets nothing that was heard",
        "gate",
        _GATE,
        "            state.question.heard.append(message.text)\n",
        "            pass\n",
    ),
    Mutant(
        "a greeting may always be interrupted",
        "gate",
        _GATE,
        "greets = greeting is not None and not greeting.interruptible",
        "greets = False and greeting is not None and not greeting.interruptible",
    ),
    Mutant(
        "the session does not end after the last nudge",
        "gate",
        _GATE,
        "        if message == Timer(IDLE) and given_up(state, self.options.idle):\n",
        "        if message == Timer(IDLE) and not given_up(state, self.options.idle):\n",
    ),
    Mutant(
        "a reply that was cut off before it sounded is forgotten",
        "gate",
        "stages/question.py",
        "unanswered = self.parts if left else ()",
        "unanswered = ()",
    ),
    Mutant(
        "a cough ends the answer",
        "gate",
        "stages/turn.py",
        "(_T.CONCLUDING, _E.VAIN): (_T.THINKING, _D.ANSWER_AGAIN)",
        "(_T.CONCLUDING, _E.VAIN): (_T.LISTENING, _D.NOTHING)",
    ),
    Mutant(
        "a suspected interruption is not held",
        "gate",
        "stages/turn.py",
        "(_T.SPEAKING, _E.SPEECH): (_T.HELD, _D.HOLD)",
        "(_T.SPEAKING, _E.SPEECH): (_T.HELD, _D.NOTHING)",
    ),
    Mutant(
        "an interruption raises no epoch",
        "gate",
        _GATE,
        'return [RaiseEpoch(state.question.number), Emit("turn", Interrupt())]',
        'return [Emit("turn", Interrupt())]',
    ),
    # -- llm
    Mutant(
        "the request has no history",
        "llm",
        _LLM,
        "state.asked = replace(ask, history=state.past.history,",
        "state.asked = replace(ask, history=(),",
    ),
    Mutant(
        "the history has a turn more than it may",
        "llm",
        _LLM,
        "state.past.fitting(self.options.max_history, tokens)",
        "state.past.fitting(self.options.max_history + 1, tokens)",
    ),
    Mutant(
        "a reply without words is not asked for again",
        "llm",
        _LLM,
        "if state.tries < _TRIES and state.asked is not None:",
        "if state.tries < 0 and state.asked is not None:",
    ),
    Mutant(
        "an answer that goes on does not know what was said", "llm", _LLM, "said_since(steps, utterance.said)", '""'
    ),
    Mutant(
        "a tool's outcome does not reach the model",
        "llm",
        _PAST,
        "return call._replace(status=outcome.status, content=outcome.content) if mine else call",
        "return call._replace(status=outcome.status) if mine else call",
    ),
    Mutant(
        "the end of a failed reply is lost",
        "llm",
        _LLM,
        "return (*self._rest(state), *self._end(state, what))",
        "return (*self._rest(state), *self._end(state, what)[:1])",
    ),
    # -- chunker
    Mutant(
        "the last clause is not flushed",
        "chunker",
        _CHUNKING,
        "chunks = [*state.chunker.feed(state.whole), *state.chunker.flush()]",
        "chunks = [*state.chunker.feed(state.whole)]",
    ),
    Mutant(
        "clauses are cut a token later",
        "chunker",
        "chunker/core.py",
        "            if draft.size + size <= most:",
        "            if draft.size + size <= most + 1:",
    ),
    Mutant(
        "the first clause has no rule of its own",
        "chunker",
        _CHUNKING,
        "                first=FirstRules(self.first.min_tokens),",
        "                first=FirstRules(99),",
    ),
    Mutant(
        "the voice is given the raw text",
        "chunker",
        _CHUNKING,
        "return Clause(index, chunk.text, chunk.spoken, chunk.tokens",
        "return Clause(index, chunk.text, chunk.text, chunk.tokens",
    ),
    Mutant(
        "a stalled stream is not flushed",
        "chunker",
        _CHUNKING,
        "                return self._clauses(state, state.chunker.stall())",
        "                return NOTHING",
    ),
    Mutant(
        "a wrong guess is spoken",
        "chunker",
        _CHUNKING,
        '        state.provisional = None\n        return [Emit("verdict", Revoke(0))]',
        '        state.provisional = None\n        return [Emit("verdict", Commit(0))]',
    ),
    # -- tts
    Mutant(
        "a clause that failed is not ended",
        "tts",
        _TTS,
        'return [] if clause is None else [Emit("audio", ClauseEnded(clause.index, state.samples, whole))]',
        'return [] if clause is None or not whole else [Emit("audio", ClauseEnded(clause.index, state.samples, whole))]',
    ),
    Mutant(
        "a broken voice is asked for ever", "tts", _TTS, "if state.failed >= MOST_FAILED:", "if state.failed >= 99:"
    ),
    Mutant(
        "the sound of a guess goes to the speaker",
        "tts",
        _TTS,
        "        if state.provisional:\n            return _NOTHING_YET",
        "        if False:\n            return _NOTHING_YET",
    ),
    Mutant(
        "a clause without words is asked for",
        "tts",
        _TTS,
        "if state.muted or not clause.spoken.strip():",
        "if state.muted:",
    ),
    # -- playback
    Mutant(
        "the device is told to play 100 ms late",
        "speaker",
        _PLAYBACK,
        "return Play(piece.at_us, audio.clause",
        "return Play(piece.at_us + 100_000, audio.clause",
    ),
    Mutant(
        "each piece loses a millisecond",
        "speaker",
        _PLAYBACK,
        "        state.until_us = at_us + whole_us\n",
        "        state.until_us = at_us + whole_us - 1_000\n",
    ),
    Mutant(
        "fractions of a sample's time are dropped",
        "speaker",
        _PLAYBACK,
        "whole_us, state.carry = divmod(audio.samples * _US + state.carry, audio.rate_hz)",
        "whole_us = (audio.samples * _US + state.carry) // audio.rate_hz",
    ),
    Mutant(
        "a resumed reply begins again at its piece",
        "speaker",
        _PLAYBACK,
        "        state.playing[0] = Piece(_rest(front.audio, gone))\n",
        "        state.playing[0] = Piece(front.audio)\n",
    ),
    Mutant(
        "the device is not silenced",
        "speaker",
        _PLAYBACK,
        "        return [*actions, Feed(Silence(cut_us))]\n",
        "        return [*actions]\n",
    ),
    Mutant(
        "what was heard of a cut clause is not reported",
        "speaker",
        _PLAYBACK,
        'return [*actions, Emit("progress", Heard(audio.clause, text, played, total))]',
        "return actions",
    ),
    Mutant(
        "the whole cut clause counts as heard",
        "speaker",
        _PLAYBACK,
        "return chunk.heard(played / rate_hz / whole_s if whole_s else 1)",
        "return chunk.heard(1)",
    ),
    Mutant(
        "sound is sent without a limit ahead",
        "speaker",
        _PLAYBACK,
        "return _CLOSED if state.full else self.everything",
        "return self.everything",
    ),
    # -- engine
    Mutant(
        "an interrupt leaves what waits",
        "chunker",
        _CORE,
        "            for envelope in inbox.drained(slot.epoch):\n",
        "            for envelope in ():\n",
    ),
    Mutant(
        "an interrupt leaves what waits to be sent",
        "llm",
        _CORE,
        "        while slot.outbox:\n            inbox, envelope = slot.outbox.popleft()\n            inbox.unblocked",
        "        while False:\n            inbox, envelope = slot.outbox.popleft()\n            inbox.unblocked",
    ),
    Mutant(
        "back-pressure is ignored",
        "chunker",
        _MAILBOX,
        "        if waiting >= self.max:\n",
        "        if waiting >= self.max + 50:\n",
    ),
    Mutant(
        "the oldest message is kept and the newest dropped",
        "chunker",
        _MAILBOX,
        "                        del self.queue[i]\n                        self.queue.append(envelope)\n",
        "                        del self.queue[-1]\n                        self.queue.append(envelope)\n",
    ),
    Mutant(
        "a cancelled call goes on",
        "llm",
        _CORE,
        "            self._effects.append(CallCancelled(slot.index, call.id))",
        "            pass",
        "the provider is not cancelled, but replays have none",
    ),
    Mutant(
        "what comes late after a cancel is handled",
        "llm",
        _CORE,
        "if call_id and (call is None or call.id != call_id):",
        "if call_id and call is None:",
    ),
    Mutant(
        "data goes before control",
        "gate",
        _CORE,
        "            if pending := self._control:\n",
        "            if (pending := self._control) and not self._ready:\n",
    ),
    Mutant(
        "a provider that is silent is waited for",
        "llm",
        _CORE,
        "        call.deadline_us = None if within_us is None else self.now_us + within_us\n",
        "        call.deadline_us = None\n",
    ),
    Mutant(
        "an interrupted stage keeps its state",
        "chunker",
        _CORE,
        "        slot.state = slot.stage.reset(slot.state)\n",
        "",
    ),
    Mutant(
        "a stage's timers outlive an interrupt",
        "speaker",
        _CORE,
        "        self._timers.clear(slot.index)\n",
        "",
    ),
    # -- tools
    Mutant(
        "a failed tool's words are lost",
        "tools",
        "stages/tools.py",
        "return self._over(state, message) if id in state.running else NOTHING",
        'return self._over(state, ToolOutcome(id, message.status, "")) if id in state.running else NOTHING',
    ),
    # -- the providers' side, of which a replay has only the answers
    Mutant(
        "a scripted model does not answer outcomes",
        "llm",
        _SCRIPTED,
        "reply = self._after_tools(request) if request.steps else self._by_text.get(request.text)",
        "reply = self._by_text.get(request.text)",
        _NO_PROVIDER,
    ),
    Mutant(
        "a transcript names the utterance before",
        "asr",
        _SCRIPTED,
        "Final(text, item.utterance)),)",
        "Final(text, item.utterance - 1)),)",
        _NO_PROVIDER,
    ),
    Mutant(
        "an inline provider does not answer what it is fed",
        "asr",
        "providers/inline.py",
        "        if answers := answer(item):\n            self._add(answers, at_us)\n",
        "        answer(item)\n",
        _NO_PROVIDER,
    ),
    Mutant(
        "an inline provider does not give its answers in order",
        "tts",
        "providers/inline.py",
        "            heappush(heap, (at_us + delay_us, seq, answer))",
        "            heappush(heap, (at_us + delay_us, -seq, answer))",
        _NO_PROVIDER,
    ),
    Mutant(
        "a chat server gets no history",
        "llm",
        "providers/cloud/chat.py",
        "for exchange in remembered(ask.history, options.remember, self._room(ask)):",
        "for exchange in remembered((), options.remember, self._room(ask)):",
        _CONTRACT,
    ),
    Mutant(
        "a chat server is not asked for a stream",
        "llm",
        "providers/cloud/chat.py",
        '"stream": True,',
        '"stream": False,',
        _CONTRACT,
    ),
)
