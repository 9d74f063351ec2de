"""The calls that ``check_provider`` makes for a TTS, and the checks of its audio and word times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

from flowkit.messages import Audio, ClauseEnded, Message, Narrate, Speak, WordTimes
from flowkit.testing.provider.case import CallCase
from flowkit.words import has_words, words

SHORT = "This is a short sentence."
SENTENCE = "Here is a sentence of a good many words, one that a listener would not like to hear twice. "
SENTENCES = 5
LONG = SENTENCE * SENTENCES
A_CLAUSE, A_LATER_CLAUSE, A_SENTENCE, A_LONG_CLAUSE = "a clause", "a later clause", "a sentence", "a long clause"
ODD = "… — ?!"
"""A text that cannot be pronounced."""
_SCRIPTS = {"Cyrillic": "Привет как дела", "Chinese": "你好你怎么样", "Arabic": "مرحبا كيف حالك"}
_PIECE_S = 0.25
"""The longest piece of audio that is allowed, in seconds. The page for authors asks for about 0.1 s."""


def lengthy(case: CallCase) -> CallCase:
    """The call for a slow stage: `case`, or for a TTS one with more pieces of audio."""
    return CallCase("four sentences", Speak(5, SHORT * 4)) if isinstance(case.request, Speak) else case


def clauses(speech: bytes) -> list[CallCase]:
    """The calls for a TTS that speaks one clause per call."""
    others = [
        CallCase(f"a clause in {script}", Speak(8 + n, text), may_refuse=True)
        for n, (script, text) in enumerate(_SCRIPTS.items())
    ]
    return [
        CallCase(A_CLAUSE, Speak(0, SHORT)),
        CallCase(A_LATER_CLAUSE, Speak(7, SHORT)),
        CallCase("an empty clause", Speak(1, ""), says=False),
        CallCase("a clause of white space", Speak(2, " \n "), says=False),
        CallCase("a clause that cannot be pronounced", Speak(3, ODD), says=False),
        CallCase(A_SENTENCE, Speak(4, SENTENCE)),
        CallCase(A_LONG_CLAUSE, Speak(5, LONG)),
        *others,
    ]


def narrations() -> list[CallCase]:
    """The calls for a TTS that speaks a whole reply per call."""
    texts = (SHORT, "", "And then another one.", ODD, LONG)
    reply = tuple(Speak(index, text) for index, text in enumerate(texts))
    return [
        CallCase("a reply of one clause", Narrate(), reply[:1]),
        CallCase("a reply of many clauses, some of them empty", Narrate(), reply),
        CallCase("a reply without a clause", Narrate(), says=False),
    ]


def spoken(case: CallCase, items: list[Message]) -> Iterator[str]:
    """Check the answers to a ``Speak``."""
    assert isinstance(case.request, Speak)
    yield from _clause(case.request, items)


def narrated(case: CallCase, items: list[Message]) -> Iterator[str]:
    """Check the answers to a ``Narrate``."""
    asked = [item for item in case.fed if isinstance(item, Speak)]
    left = list(items)
    for speak in asked:
        ends = [n for n, item in enumerate(left) if isinstance(item, ClauseEnded)]
        if not ends:
            yield f"clause {speak.clause} has no ClauseEnded"
            return
        said, end, left = left[: ends[0]], left[ends[0]], left[ends[0] + 1 :]
        yield from _clause(speak, [*said, end])
        samples = sum(item.samples for item in said if isinstance(item, Audio))
        if isinstance(end, ClauseEnded) and end.samples != samples:
            yield f"the ClauseEnded of clause {speak.clause} has {end.samples} samples, but {samples} were emitted"
    if left:
        yield f"{type(left[0]).__name__} comes after the end of the last clause"


def _clause(asked: Speak, items: Iterable[Message]) -> Iterator[str]:
    """Check the answers for one clause."""
    items = list(items)
    for item in items:
        clause = getattr(item, "clause", asked.clause)
        if clause != asked.clause:
            yield f"the request is for clause {asked.clause}, the answer for clause {clause}"
            return
    sound = [item for item in items if isinstance(item, Audio)]
    yield from _sound(asked, sound)
    samples = sum(piece.samples for piece in sound)
    times = [item for item in items if isinstance(item, WordTimes)]
    for one in times:
        yield from _times(one, samples)
    if times:
        yield from _last_times(asked, times[-1], samples)


def _sound(asked: Speak, pieces: list[Audio]) -> Iterator[str]:
    place = total = rate_hz = 0
    for item in pieces:
        if item.first_sample != place:
            yield f"an Audio starts at sample {item.first_sample} instead of {place}"
        if item.samples < 1 or len(item.pcm) != 2 * item.samples:
            yield f"an Audio of {item.samples} samples of 16 bits has {len(item.pcm)} bytes"
        if rate_hz and item.rate_hz != rate_hz:
            yield f"the sample rate changes from {rate_hz} to {item.rate_hz} Hz within a clause"
        if total and item.total != total:
            yield f"the clause's total changes from {total} to {item.total} samples"
        if item.samples > _PIECE_S * item.rate_hz:
            lasts_ms = 1_000 * item.samples // item.rate_hz
            yield f"an Audio lasts {lasts_ms} ms: emit pieces of about 100 ms"
        place, total, rate_hz = item.first_sample + item.samples, item.total or total, item.rate_hz
    if total and place != total:
        yield f"`total` is {total} samples, but {place} were emitted"
    if place and not asked.text.strip():
        yield f"the text is empty, but {place} samples were emitted"
    if place and has_words(asked.text) and not any(any(item.pcm) for item in pieces):
        yield "every sample is zero"


def _times(item: WordTimes, samples: int) -> Iterator[str]:
    for (before, at), (after, then) in pairwise([("", 0), *item.words]):
        if then < at:
            yield f"the words of clause {item.clause}: {after!r} ends at sample {then}, before {before!r} at {at}"
            return
    if item.words and item.words[-1][1] > samples:
        word, end = item.words[-1]
        yield f"the word {word!r} of clause {item.clause} ends at sample {end}; the clause has {samples}"


def _last_times(asked: Speak, item: WordTimes, samples: int) -> Iterator[str]:
    """Check that the last WordTimes of a clause has all of its words, and goes on to its end."""
    said = [word.key for text, _ in item.words for word in words(text)]
    left, lacking = list(said), list[str]()
    for word in words(asked.text):
        if word.key in left:
            del left[: left.index(word.key) + 1]
        else:
            lacking.append(asked.text[word.start : word.end])
    # A TTS may spell numbers, for example, in its own way. Its words then stand for those that are missing.
    if lacking and len(said) < len(words(asked.text)):
        yield f"the word times of clause {asked.clause} leave out {lacking[0]!r}"
    if item.words and item.words[-1][1] < samples / 4:
        last, end = item.words[-1]
        yield f"the last word of clause {asked.clause}, {last!r}, ends at sample {end} of {samples}: are these samples?"
