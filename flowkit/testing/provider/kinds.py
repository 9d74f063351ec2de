"""The calls that ``check_provider`` makes for each kind of provider, and the checks of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isnan
from typing import Any

from flowkit.messages import (
    Ask,
    Capture,
    Detect,
    EndOfUtterance,
    Exchange,
    Final,
    Frames,
    InputEnded,
    Message,
    Narrate,
    Partial,
    Play,
    Predict,
    Prediction,
    Probability,
    Render,
    RunTools,
    Silence,
    Speak,
    SpeechStarted,
    SpeechStopped,
    Token,
    ToolCall,
    ToolOutcome,
    ToolStatus,
    Transcribe,
    TurnSoFar,
    Typed,
)
from flowkit.providers.answers import ANSWERS
from flowkit.providers.base import Provider
from flowkit.testing.provider.calls import FRAME_BYTES, FRAME_US, RATE_HZ, frames, utterance
from flowkit.testing.provider.case import CallCase, Judge
from flowkit.testing.provider.voice import clauses, narrated, narrations, spoken
from flowkit.words import script_of

_TOO_LONG = "word " * 5_000
_MANY = 8
"""The tokens of a reply that is long enough to judge it."""
_SLOW_S, _BURST_S = 0.1, 0.0005
"""A reply that starts so late, and whose tokens then follow so fast on average, was complete before it was emitted."""
_FRAMES = 10
_WINDOW_US = 100_000
"""How much audio a VAD may collect before it answers."""


def cases(cls: type[Provider], speech: bytes) -> list[CallCase]:
    """The calls for a provider, the ordinary one first. `speech` is the audio for a VAD or an ASR.

    Raises KeyError for an unknown kind.
    """
    if cls.kind == "tts" and cls.continuous:
        return narrations()
    if cls.kind == "turn" and cls.hears:
        return _pauses(speech)
    return _CASES[cls.kind](speech)


def faults_of(case: CallCase, items: list[Message]) -> Iterator[str]:
    """Check the answers to a call. Yields one line for each fault."""
    may = ANSWERS.get(type(case.request), ())
    wrong = [item for item in items if not isinstance(item, may)]
    if wrong:
        names = ", ".join(kind.__name__ for kind in may) or "nothing"
        yield f"{case.title}: emitted {type(wrong[0]).__name__}; for {type(case.request).__name__} it may emit {names}"
        return
    if case.says and not items:
        yield f"{case.title}: no answer" + (", and no ProviderError" if case.may_refuse else "")
        return
    for fault in _JUDGES[type(case.request)](case, items):
        yield f"{case.title}: {fault}"


# -- microphone, keyboard, speaker -------------------------------------------------------------------------------------


def _captures(speech: bytes) -> list[CallCase]:
    return [CallCase("capture", Capture(), enough=_FRAMES)]


def _typed(speech: bytes) -> list[CallCase]:
    return [CallCase("typed lines", Capture())]


def _captured(case: CallCase, items: list[Message]) -> Iterator[str]:
    due, ended = 0, False
    for item in items:
        if isinstance(item, Frames):
            if item.index < due:
                yield f"frame {item.index} comes after frame {due - 1}"
            if item.count < 1 or len(item.pcm) != item.count * FRAME_BYTES:
                yield f"{item.count} frames have {len(item.pcm)} bytes, not {item.count * FRAME_BYTES}"
            due = item.index + item.count
        elif isinstance(item, InputEnded):
            if ended:
                yield "the input ends twice"
            ended = True
        elif isinstance(item, Typed) and not item.text.strip():
            yield "an empty line must not be emitted"


def _renders(speech: bytes) -> list[CallCase]:
    samples = FRAME_BYTES // 2
    plays = [Play(40_000 + i * FRAME_US, 0, i * samples, samples, RATE_HZ, 1, b"\0\1" * samples) for i in range(5)]
    fed = (*plays, Silence(100_000), Play(160_000, 0, 0, samples, 24_000, 2, b"\0\1" * samples))
    return [
        CallCase("sound, silence and sound again", Render(), fed, says=False),
        CallCase("no sound", Render(), says=False),
    ]


def _rendered(case: CallCase, items: list[Message]) -> Iterator[str]:
    yield from ()


# -- VAD and ASR -------------------------------------------------------------------------------------------------------


def _detections(speech: bytes) -> list[CallCase]:
    heard, silent = frames(speech), frames(bytes(50 * FRAME_BYTES))
    gap = [*heard[:20], *heard[40:]]
    pairs = [
        Frames(a.index, 2, a.pcm + b.pcm)
        for a, b in zip(silent[::2], silent[1::2], strict=False)
        if isinstance(a, Frames) and isinstance(b, Frames)
    ]
    return [
        CallCase("speech", Detect(), tuple(heard)),
        CallCase("silence", Detect(), tuple(silent)),
        CallCase("frames of which some were lost", Detect(), tuple(gap)),
        CallCase("two frames at a time", Detect(), tuple(pairs)),
        CallCase("no sound at all", Detect(), says=False),
    ]


def _detected(case: CallCase, items: list[Message]) -> Iterator[str]:
    fed = [item for item in case.fed if isinstance(item, Frames)]
    last_fed = fed[-1].index + fed[-1].count - 1 if fed else -1
    last = -1
    for item in items:
        if not isinstance(item, Probability):
            continue
        if isnan(item.p) or not 0 <= item.p <= 1:
            yield f"the probability of frame {item.frame} is {item.p}, not from 0 to 1"
        if item.frame <= last:
            yield f"the probability of frame {item.frame} comes after that of frame {last}"
        if item.frame > last_fed:
            yield f"a probability of frame {item.frame}, but the last frame fed is {last_fed}"
        last = max(last, item.frame)
    if last_fed - last > _WINDOW_US // FRAME_US:
        yield f"the last probability is of frame {last}, the last frame fed is {last_fed}: no end of utterance would be noticed"


def _transcriptions(speech: bytes) -> list[CallCase]:
    one = utterance(speech, 1)
    begins = sum(isinstance(item, Frames) for item in one)
    two = utterance(speech, 2, begins)
    silence = [*frames(bytes(50 * FRAME_BYTES)), EndOfUtterance(1, 24)]
    return [
        CallCase("two utterances", Transcribe(), (*one, *two)),
        CallCase("an utterance without a voice", Transcribe(), tuple(silence)),
        CallCase("frames without an utterance", Transcribe(), tuple(frames(bytes(50 * FRAME_BYTES))), says=False),
    ]


def _transcribed(case: CallCase, items: list[Message]) -> Iterator[str]:
    owed = [item.utterance for item in case.fed if isinstance(item, EndOfUtterance)]
    given = [item.utterance for item in items if isinstance(item, Final)]
    if given != owed:
        yield f"utterances {owed} ended, and the Finals are of {given}: there must be one Final for each, in order"
    # The provider may have put anything there, whatever the annotation says.
    texts: list[Any] = [item.text for item in items if isinstance(item, (Partial, Final))]
    yield from (f"a transcript is {type(text).__name__}, not str" for text in texts if not isinstance(text, str))


# -- end of turn ---------------------------------------------------------------------------------------------------------


def _predictions(speech: bytes) -> list[CallCase]:
    said = ("I", "I would like", "I would like a table.", "", "\u0000 \U0001f600 %s", _TOO_LONG)
    fed = tuple(TurnSoFar(text, "What can I do for you?", 10 * n) for n, text in enumerate(said))
    return [
        CallCase("a sentence that grows", Predict(), fed[:3]),
        CallCase("odd, empty and long texts", Predict(), fed[3:]),
        CallCase("nothing said", Predict(), says=False),
    ]


def _pauses(speech: bytes) -> list[CallCase]:
    one = utterance(speech)
    last = max(item.last_voiced for item in one if isinstance(item, EndOfUtterance))
    two = utterance(speech, 2, first=last + 26)
    return [
        CallCase("a turn", Predict(), tuple(one)),
        CallCase("two turns", Predict(), (*one, *two)),
        CallCase("silence", Predict(), (*frames(bytes(20 * FRAME_BYTES)), SpeechStarted(3), SpeechStopped(9))),
        CallCase("nothing said", Predict(), says=False),
    ]


def _predicted(case: CallCase, items: list[Message]) -> Iterator[str]:
    given = [item for item in items if isinstance(item, Prediction)]
    asked = [item for item in case.fed if isinstance(item, (TurnSoFar, SpeechStopped))]
    if len(given) != len(asked):
        yield f"{len(given)} answers to {len(asked)} texts or pauses: there must be one for each"
    for item, fed in zip(given, asked, strict=False):
        if not 0 <= item.p <= 1:  # also if it is no number
            yield f"a probability of {item.p}, not from 0 to 1"
        if isinstance(fed, TurnSoFar) and item.until != fed.until:
            yield f"an answer up to frame {item.until} to words up to frame {fed.until}"


# -- LLM ---------------------------------------------------------------------------------------------------------------


def _questions(speech: bytes) -> list[CallCase]:
    past = tuple(Exchange(f"Question {n}?", f"Answer {n}.") for n in range(40))
    return [
        CallCase("a question", Ask(1, "What is the capital of France?")),
        CallCase("a question with a past", Ask(41, "And of Spain?", past)),
        CallCase(
            "a past in which an answer is empty, and a question",
            Ask(3, "And now?", (Exchange("Hm.", ""), Exchange("", "Yes?"))),
        ),
        CallCase("an empty question", Ask(1, ""), says=False, may_refuse=True),
        CallCase(f"a question of {len(_TOO_LONG)} characters", Ask(1, _TOO_LONG), says=False, may_refuse=True),
        CallCase("odd characters", Ask(1, "\u0000 \U0001f600 {} %s </s> \u202e"), says=False, may_refuse=True),
    ]


def _asked(case: CallCase, items: list[Message]) -> Iterator[str]:
    tokens = [item for item in items if isinstance(item, Token)]
    # The provider may have put anything there, whatever the annotation says.
    texts: list[Any] = [token.text for token in tokens]
    if wrong := [text for text in texts if not isinstance(text, str)]:
        yield f"a token's text is {type(wrong[0]).__name__}, not str"
        return
    indexes = [token.index for token in tokens]
    if indexes != list(range(len(tokens))):
        first = next(n for n, index in enumerate(indexes) if n != index)
        yield f"token number {first} has index {indexes[first]}: tokens are numbered from 0 in each reply"
    if case.says and not "".join(texts).strip():
        yield "the reply has no words"
    # Some scripts write no spaces between words.
    with_words = [text for text in texts if any(char.isalpha() and not script_of(char).per_word for char in text)]
    if len(with_words) >= _MANY and not any(char.isspace() for char in "".join(texts)):
        yield f"no white space in {len(tokens)} tokens: keep the spaces, because the texts joined are the reply"


def all_at_once(replies: list[tuple[float, list[float]]]) -> bool:
    """Whether all replies that are long enough came in a burst.

    Each reply is the time of its request and the times of its tokens, in seconds.
    """
    many = [(asked_s, said_s) for asked_s, said_s in replies if len(said_s) >= _MANY]
    bursts = [
        said_s[0] - asked_s > _SLOW_S and said_s[-1] - said_s[0] < _BURST_S * len(said_s) for asked_s, said_s in many
    ]
    # A single reply may come in a burst by chance.
    return len(bursts) > 1 and all(bursts)


# -- tools -------------------------------------------------------------------------------------------------------------


def _tool_calls(speech: bytes) -> list[CallCase]:
    calls = tuple(ToolCall(str(n), "no_such_tool", "{}") for n in range(1, 4))
    odd = (ToolCall("1", "", ""), ToolCall("2", "no_such_tool", "no JSON"))
    return [
        CallCase("a call of a tool", RunTools(), calls[:1]),
        CallCase("three calls of a tool", RunTools(), calls),
        CallCase("calls with odd arguments", RunTools(), odd),
        CallCase("no call of a tool", RunTools(), says=False),
    ]


def _outcomes(case: CallCase, items: list[Message]) -> Iterator[str]:
    owed = sorted(item.id for item in case.fed if isinstance(item, ToolCall))
    outcomes = [item for item in items if isinstance(item, ToolOutcome)]
    given = sorted(item.id for item in outcomes)
    if given != owed:
        yield f"calls {owed} were made, and the ToolOutcomes are of {given}: there must be one for each"
    for item in outcomes:
        if item.status not in (ToolStatus.RESULT, ToolStatus.ERROR):
            yield f"the status of call {item.id} is {item.status!r}, not `result` or `error`"


_CASES: Mapping[str, Callable[[bytes], list[CallCase]]] = {
    "mic": _captures,
    "gate": _typed,
    "vad": _detections,
    "asr": _transcriptions,
    "turn": _predictions,
    "llm": _questions,
    "tools": _tool_calls,
    "tts": clauses,
    "speaker": _renders,
}
_JUDGES: Mapping[type[Message], Judge] = {
    Capture: _captured,
    Render: _rendered,
    Detect: _detected,
    Transcribe: _transcribed,
    Predict: _predicted,
    Ask: _asked,
    RunTools: _outcomes,
    Speak: spoken,
    Narrate: narrated,
}
