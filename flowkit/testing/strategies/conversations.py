"""Random scripted conversations: when the user speaks, how fast the providers answer, the bounds of queues, what counts
as an interrupt.

Most conversations last two to three seconds of virtual time, so that a thousand of them run quickly.

    @given(conversations())
    def test(conversation): heap_session(scripted_plan(**conversation))

Simultaneous events are common: half of all delays are multiples of the frame length.

Strategies are made once, because to make them takes longer than to draw from them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

Conversation = dict[str, Any]
"""The keyword arguments of ``flowkit.testing.sessions.scripted_plan``. They are short, so a failing one can be pasted
into a test."""

_WORDS = (
    "Yes.",
    "Paris is it.",
    "No, wait;",
    "Well, that depends,",
    "one",
    "two",
    "and",
    "Fine!",
    "3.5",
    "okay",
    "é",
    "東京。",
)
_BY_WORDS = {"complete": "60ms", "unsure": "140ms", "incomplete": "260ms"}
_FRAMES_MS = (10, 20, 20, 20, 30)


@cache
def _ms(most: int) -> st.SearchStrategy[str]:
    """A delay of 0 to `most` ms: a multiple of 20 ms, any number of ms, or 1 us from a multiple of 20 ms."""
    grid = st.integers(0, most // 20).map(lambda n: f"{20 * n}ms")
    anywhere = st.integers(0, most).map(lambda n: f"{n}ms")
    beside = st.tuples(st.integers(1, max(1, most // 20)), st.sampled_from((-1, 1))).map(
        lambda p: f"{p[0] * 20_000 + p[1]}us"
    )
    return st.one_of(grid, grid, anywhere, beside)


@cache
def _seldom() -> st.SearchStrategy[bool]:
    # Hypothesis shrinks to 0, and so to a conversation without the rare event.
    return st.integers(0, 11).map(lambda n: n == 11)


def _some(**options: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Values for any of these options. Options that are left out keep their defaults."""
    return st.fixed_dictionaries({}, optional=options)


@st.composite
def speech(draw: st.DrawFn, most: int = 3) -> list[dict[str, str]]:
    """When the user speaks: an utterance, and up to `most` - 1 more ones or short noises, at any time during the
    previous reply."""
    at, spans = draw(st.integers(0, 4)) * 20, []
    for i in range(draw(st.sampled_from((2, 2, 1, 3)[:most]))):
        lasts = draw(st.sampled_from((160, 200, 260, 100, 60, 20) if i else (100, 160)))
        spans.append({"at": f"{at}ms", "lasts": f"{lasts}ms"})
        at += lasts + draw(st.one_of(st.integers(10, 40).map(lambda n: 20 * n), st.integers(1, 900)))
    return spans


@cache
def queues() -> st.SearchStrategy[dict[str, Any]]:
    """A queue with a bound of 1 to 10 and a policy, mostly `block`."""
    policies = st.sampled_from(("block", "block", "block", "drop_oldest", "drop_newest", "error"))
    return st.fixed_dictionaries({"max": st.integers(1, 10), "when_full": policies})


@st.composite
def replies(draw: st.DrawFn, named: tuple[str, ...] = ()) -> dict[str, Any]:
    """One reply: empty, short, long, failing, or with unusual tokens. `named`: more words for it."""
    words = draw(st.lists(st.sampled_from(_WORDS + named), min_size=draw(st.sampled_from((4, 1, 0))), max_size=9))
    reply: dict[str, Any] = {"text": " ".join(words)}
    if draw(_seldom()):
        reply["fail_after"] = draw(st.integers(0, 4))
    if draw(_seldom()):
        reply["tokens"] = tuple(
            draw(st.lists(st.sampled_from(("a", " ", "b. ", ", ", "", " see", ".", "com")), max_size=12))
        )
    return reply


@cache
def vads() -> st.SearchStrategy[dict[str, Any]]:
    """Options of the endpointing, and the latency of the VAD."""
    return _some(
        latency=_ms(40), start=_ms(80), pause=_ms(120), speech_for=_ms(120),
        end=st.sampled_from(("60ms", "100ms", "140ms", "200ms", _BY_WORDS)),
        longest=st.sampled_from(("30s", "30s", "200ms", "100ms")), queue=queues(),
    ).map(lambda options: {"end": "100ms", "start": "40ms", **options})  # fmt: skip


@st.composite
def predictors(draw: st.DrawFn) -> dict[str, Any]:
    """An end-of-turn predictor in one of four conversations: what it says and how late, or that it hangs."""
    if draw(st.integers(0, 3)) < 3:
        return {}
    said = st.lists(st.sampled_from((0.0, 0.2, 0.5, 0.8, 1.0)), min_size=1, max_size=5).map(tuple)
    return {"turn": draw(_some(likelihood=said, latency=_ms(300), hangs=_seldom(), queue=queues()))}


@cache
def asrs(named: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """What the user says, which may be nothing, and the delays of the transcripts. `named`: more that may be said."""
    known = ("What is it?", "No, stop that.", "okay", "", *named)
    texts = st.lists(st.sampled_from(known), min_size=1, max_size=4).map(tuple)
    return _some(
        final_after=_ms(120),
        partial_after=_ms(40),
        partial_every=st.sampled_from(("20ms", "60ms", "300ms")),
        queue=queues(),
    ).flatmap(lambda options: texts.map(lambda said: {"utterances": ("Tell me.", *said), **options}))


@cache
def gates() -> st.SearchStrategy[dict[str, Any]]:
    """What counts as an interrupt."""
    return _some(
        min_words=st.integers(0, 2), ignore=st.just(("okay",)), resume_after=_ms(300),
        final_timeout=_ms(100), queue=queues(),
    )  # fmt: skip


@cache
def llms(named: tuple[str, ...] = ()) -> st.SearchStrategy[dict[str, Any]]:
    """The replies, the delays of the LLM, and its timeouts. `named`: more words for the replies."""
    paces = _some(
        first_token=_ms(100), per_token=_ms(20), first_item_timeout=_late(), idle_timeout=_late(), queue=queues()
    )
    several = st.lists(replies(named), min_size=1, max_size=2).map(tuple)
    return paces.flatmap(lambda options: several.map(lambda said: {"first_token": "40ms", "replies": said, **options}))


@cache
def _late() -> st.SearchStrategy[str]:
    # Repeated, so that most conversations run into no timeout.
    return st.sampled_from(("5s", "5s", "5s", "5s", "5s", "60ms", "10ms"))


@cache
def voices() -> st.SearchStrategy[dict[str, Any]]:
    """A TTS: its delays, the length of its pieces, its rate, its failures and its timeouts."""
    return _some(
        first_audio=_ms(100), per_piece=_ms(20), piece=st.sampled_from(("1ms", "7ms", "20ms", "60ms", "100ms", "250ms")),
        per_char=st.sampled_from(("20ms", "9ms", "1ms")), rate=st.sampled_from((8_000, 11_025, 16_000, 22_050, 24_000, 44_100)),
        fail=_seldom(), first_item_timeout=_late(), idle_timeout=_late(), queue=queues(),
    ).map(lambda options: {"first_audio": "40ms", "per_char": "15ms", **options})  # fmt: skip


@cache
def _chunkers() -> st.SearchStrategy[dict[str, Any]]:
    return _some(max_tokens=st.integers(3, 30), flush_after=_ms(100), speculate_end=st.booleans(), queue=queues())


@cache
def _speakers() -> st.SearchStrategy[dict[str, Any]]:
    return _some(lead=st.sampled_from(("20ms", "40ms", "100ms", "300ms")), queue=queues())


@st.composite
def conversations(draw: st.DrawFn, words: tuple[str, ...] = ()) -> Conversation:
    """Any conversation. `words`: more words that may be said in it."""
    return Conversation(
        frame=f"{draw(st.sampled_from(_FRAMES_MS))}ms",
        mic={"speech": draw(speech())},
        vad=draw(vads()),
        asr=draw(asrs(words)),
        gate=draw(gates()),
        llm=draw(llms(words)),
        chunker=draw(_chunkers()),
        tts=draw(voices()),
        speaker=draw(_speakers()),
        **draw(predictors()),
    )


@st.composite
def interruptions(draw: st.DrawFn) -> tuple[Conversation, Conversation]:
    """A pair of conversations. In the first, a second utterance may interrupt the reply; the other has only the second
    utterance.

    What follows the second utterance must be the same in both. All replies have the same text, and no queue drops
    anything.
    """
    first = draw(st.integers(0, 4)) * 20
    second = first + 400 + draw(st.one_of(st.integers(0, 50).map(lambda n: 20 * n), st.integers(0, 1000)))
    spans = [{"at": f"{first}ms", "lasts": "100ms"}, {"at": f"{second}ms", "lasts": "200ms"}]
    words = draw(st.lists(st.sampled_from(_WORDS), min_size=1, max_size=10))
    shared: Conversation = {
        "vad": {"end": "100ms", "start": "40ms", "speech_for": draw(_ms(80))},
        "llm": {"replies": ({"text": " ".join(words)},), "first_token": draw(_ms(100)), "per_token": draw(_ms(20))},
        "chunker": {"queue": {"max": draw(st.integers(1, 10))}},
        "tts": {"first_audio": draw(_ms(100)), "per_char": "20ms", "per_piece": draw(_ms(20)), "rate": 22_050,
                "queue": {"max": draw(st.integers(1, 3))}},
        "speaker": {"queue": {"max": draw(st.integers(1, 10))}},
    }  # fmt: skip
    whole = Conversation(mic={"speech": spans}, asr={"utterances": ("One.", "Two.")}, **shared)
    alone = Conversation(mic={"speech": spans[1:]}, asr={"utterances": ("Two.",)}, **shared)
    return whole, alone
