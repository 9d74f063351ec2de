"""Failover on a clock that jumps: what is heard, what the trace says, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from flowkit.config.schema import Circuit, Retry
from flowkit.errors import ProviderError, ProviderMissing
from flowkit.messages import (
    Ask,
    Audio,
    ClauseEnded,
    EndOfUtterance,
    Exchange,
    Final,
    Frames,
    Message,
    Narrate,
    Speak,
    SpeechStarted,
    Token,
    Transcribe,
    Usage,
    WordTimes,
)
from flowkit.options import Options, us
from flowkit.plan.graph import PlannedStage, ProviderChoice, Timeouts
from flowkit.providers.base import Emit, Provider, Surroundings
from flowkit.providers.cloud.faults import CloudError, Trouble
from flowkit.providers.models import open_models
from flowkit.runtime.circuit import Member
from flowkit.runtime.failover import Resilient, resilient
from flowkit.stages.llm import LlmTurn

Behave = Callable[[Message, AsyncIterator[Message], Emit], Any]


class Fake(Provider):
    """Does what its script says for each call; the last entry is repeated."""

    kind = "llm"
    name = "fake"

    def __init__(self, *calls: Behave, kind: str = "llm", **traits: bool) -> None:
        super().__init__(None, None)  # type: ignore[arg-type]
        self.calls = list(calls)
        self.asked: list[Message] = []
        self.kind = kind  # type: ignore[misc]
        for name, value in traits.items():
            setattr(self, name, value)

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        self.asked.append(request)
        behave = self.calls.pop(0) if len(self.calls) > 1 else self.calls[0]
        await behave(request, fed, emit)


def says(*texts: str, then: Exception | None = None, pause_s: float = 0.01) -> Behave:
    async def behave(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        for index, text in enumerate(texts):
            await trio.sleep(pause_s)
            await emit(Token(index, text))
        if then is not None:
            raise then

    return behave


async def silent(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
    await trio.sleep_forever()


def fails(error: Exception) -> Behave:
    return says(then=error)


def broke(retry_after_us: int | None = None) -> CloudError:
    return CloudError(Trouble.NETWORK, "the connection broke", retry_after_us=retry_after_us)


class Stage:
    """The stage's ear, and the trace's."""

    def __init__(self) -> None:
        self.items: list[Message] = []
        self.at_ms: list[int] = []
        self.events: list[tuple[int, str, str]] = []
        self.notices: list[str] = []

    def around(self) -> Surroundings:
        def event(at_us: int, name: str, detail: str) -> None:
            self.events.append((at_us, name, detail))

        return Surroundings(16_000, 20_000, lambda: round(trio.current_time() * 1e6), self.notices.append, event=event)

    async def emit(self, item: Message) -> None:
        await trio.lowlevel.checkpoint()
        self.items.append(item)
        self.at_ms.append(round(trio.current_time() * 1000))

    @property
    def text(self) -> str:
        return "".join(item.text for item in self.items if isinstance(item, Token))

    def told(self, name: str = "attempt") -> list[str]:
        return [detail for _, which, detail in self.events if which == name]


def member(
    provider: Fake,
    name: str = "one",
    *,
    first: str | None = None,
    idle: str | None = None,
    retry: Retry | None = None,
    circuit: Circuit | None = None,
) -> Member:
    timeouts = Timeouts(None, us(first) if first else None, us(idle) if idle else None)
    return Member(ProviderChoice(name, Fake, Options(), timeouts, retry, circuit), provider)


class Fed:
    """What a stage feeds, each with the time to wait before it."""

    def __init__(self, items: Iterable[tuple[float, Message]] = ()) -> None:
        self._items = list(items)

    def __aiter__(self) -> Fed:
        return self

    async def __anext__(self) -> Message:
        if not self._items:
            raise StopAsyncIteration
        pause_s, item = self._items.pop(0)
        await trio.sleep(pause_s)
        return item


def run(
    members: list[Member], request: Message, fed: Fed | None = None, *, stage: Stage | None = None, times: int = 1
) -> Stage:
    """One call (or several) of these members, on a jumping clock that begins at zero."""
    stage = stage or Stage()

    async def main() -> None:
        provider = Resilient(members[0].provider.kind, members, stage.around())
        for _ in range(times):
            await provider.call(request, fed or Fed(), stage.emit)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return stage


# -- a reply -----------------------------------------------------------------------------------------------------------


def test_a_provider_that_is_silent_is_left_at_its_timeout() -> None:
    stage = run([member(Fake(silent), first="900ms"), member(Fake(says("Hello.")), "two")], Ask(1, "hi"))
    assert stage.text == "Hello."
    assert stage.at_ms == [910]
    assert stage.told()[0].startswith("llm one 1: failed after 900 ms (timeout): one: nothing useful came in time")
    assert stage.told()[1] == "llm two 1: done after 10 ms"


def test_a_reply_that_breaks_off_goes_on_where_the_next_provider_can() -> None:
    second = Fake(says("of France", " is Paris."), resumes=True)
    first = Fake(says("The capital ", then=broke()), resumes=True)
    stage = run([member(first), member(second, "two")], Ask(1, "hi"))
    assert stage.text == "The capital of France is Paris."
    assert second.asked == [Ask(1, "hi", (), "The capital ")]
    assert [item.index for item in stage.items if isinstance(item, Token)] == [0, 1, 2]


def test_a_reply_that_begins_again_is_not_said_twice() -> None:
    again = Fake(says("The", " capital of", " France is Paris."))
    stage = run([member(Fake(says("The capital", " of", then=broke()))), member(again, "two")], Ask(1, "hi"))
    assert stage.text == "The capital of France is Paris."
    assert again.asked == [Ask(1, "hi")]


def test_another_reply_begins_a_sentence_of_its_own() -> None:
    sorry = Fake(says("Sorry,", " one moment."))
    stage = run([member(Fake(says("The capital", then=broke()))), member(sorry, "two")], Ask(1, "hi"))
    assert stage.text == "The capital Sorry, one moment."


@given(st.text("ab ", min_size=1, max_size=12).filter(str.strip), st.text("ab ", max_size=12), st.integers(1, 4))
def test_whatever_was_said_is_said_once(said: str, rest: str, size: int) -> None:
    whole = said + rest
    pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
    stage = run([member(Fake(says(said, then=broke()))), member(Fake(says(*pieces)), "two")], Ask(1, "hi"))
    assert stage.text == whole


@pytest.mark.parametrize("resumes", [True, False])
def test_a_server_that_begins_anew_although_it_was_to_go_on_is_not_said_twice(resumes: bool) -> None:
    first = Fake(says("The capital of", " France is", then=broke()), resumes=resumes)
    anew = Fake(says("The capital of", " France", " is Paris."), resumes=resumes)
    assert run([member(first), member(anew, "two")], Ask(1, "hi")).text == "The capital of France is Paris."


def test_each_attempt_tells_its_own_usage_with_its_number_and_its_provider() -> None:
    def telling(then: Exception | None = None) -> Behave:
        async def behave(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
            await emit(Usage(input_tokens=10))
            await says("Well.", then=then)(request, fed, emit)

        return behave

    first = member(Fake(telling(broke())), retry=Retry(max=1))
    stage = run([first, member(Fake(telling()), "two")], Ask(1, "hi"))
    used = [(item.attempt, item.place) for item in stage.items if isinstance(item, Usage)]
    assert used == [(1, 0), (2, 0), (3, 1)]


def test_a_thought_is_no_answer_within_the_time_for_the_first_token() -> None:
    thinks = Fake(says("<think>", *["hm "] * 50, "</think>Late."))
    stage = run([member(thinks, first="300ms"), member(Fake(says("Hello.")), "two")], Ask(1, "hi"))
    assert stage.text == "Hello."


def test_an_attempt_that_breaks_off_in_a_thought_leaves_none_to_the_next() -> None:
    first = Fake(says("<think>Plan.</think>", "The capital", then=broke()), fails(broke()), resumes=True)
    second = Fake(says("<thi", "nk>Another", then=broke()), resumes=True)
    third = Fake(says("<think>A third.</think>\n\nThe capital of France."), resumes=True)
    stage = run([member(first), member(second, "two"), member(third, "three")], Ask(1, "hi"))
    assert stage.text == "The capital of France."
    assert third.asked == [Ask(1, "hi", (), "The capital")]


@pytest.mark.parametrize(
    "nothing", [(), ("",), (" \n",), ("…", "!"), ("\N{GRINNING FACE}",), ("<think>A plan.</think>", "**")]
)
def test_a_reply_with_nothing_to_say_is_asked_for_once_more_or_handed_on(nothing: tuple[str, ...]) -> None:
    """And nothing of it is passed on: the next reply begins as if it were the first."""
    retry = Retry(max=1, backoff=us("1ms"))
    once_more = Fake(says(*nothing), says("Hello."))
    stage = run([member(once_more, retry=retry)], Ask(1, "hi"))
    assert stage.text.endswith("Hello.")
    assert len(once_more.asked) == 2
    sorry = run([member(Fake(says(*nothing)), retry=retry), member(Fake(says("Sorry.")), "two")], Ask(1, "hi"))
    assert [item.text for item in sorry.items if isinstance(item, Token)] == ["Sorry."]
    assert "(empty)" in sorry.told()[0]
    with pytest.raises(ProviderError, match="no words"):
        run([member(Fake(says(*nothing)))], Ask(1, "hi"))


def test_a_mark_before_the_first_word_is_kept() -> None:
    assert run([member(Fake(says("¿", "Qué", " tal", "?")))], Ask(1, "hi")).text == "¿Qué tal?"


def test_a_request_that_is_too_long_is_the_stage_s_to_shorten_first() -> None:
    """Then it is a failure like another, and the next provider's. It is never a mark against the one that refused it."""
    past = tuple(Exchange(f"Q{n}", f"A{n}") for n in range(3))
    first, circuit = Fake(fails(CloudError(Trouble.LENGTH, "HTTP 400"))), Circuit(open_after=1)
    members = [member(first, circuit=circuit), member(Fake(says("Sorry.")), "two")]
    with pytest.raises(CloudError, match="HTTP 400"):
        run(members, Ask(1, "hi", past))
    stage = run(members, Ask(1, "hi", past[1:], shortened=True))
    assert stage.text == "Sorry."
    assert len(first.asked) == 2


def test_a_reply_that_goes_on_after_an_interruption_is_not_said_twice() -> None:
    asked = Ask(1, "hi", (), "The capital of")
    anew = Fake(says("The capital", " of France is Paris."))
    assert run([member(anew)], asked).text == " France is Paris."
    assert anew.asked == [Ask(1, "hi")]
    resumes = Fake(says(" France is Paris."), resumes=True)
    assert run([member(resumes)], asked).text == " France is Paris."
    assert resumes.asked == [asked]


def test_silence_in_the_middle_fails_over() -> None:
    async def stalls(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(Token(0, "One."))
        await trio.sleep_forever()

    stage = run(
        [member(Fake(stalls), first="1s", idle="300ms"), member(Fake(says(" Two."), resumes=True), "two")], Ask(1, "hi")
    )
    assert stage.text == "One. Two."
    assert stage.at_ms == [0, 310]


def test_time_in_which_the_stage_holds_back_is_not_the_providers() -> None:
    stage = Stage()

    class Slow(Stage):
        async def emit(self, item: Message) -> None:
            await trio.sleep(5)
            self.items.append(item)

    slow = Slow()
    run([member(Fake(says("One.", " Two.")), first="100ms", idle="100ms")], Ask(1, "hi"), stage=slow)
    assert slow.text == "One. Two."
    assert not stage.items


def test_an_empty_list_of_failures_is_told_whole() -> None:
    members = [member(Fake(fails(broke()))), member(Fake(fails(CloudError(Trouble.PAYMENT, "HTTP 402"))), "two")]
    with pytest.raises(ProviderError, match=r"every provider failed: one: the connection broke; two: .*402"):
        run(members, Ask(1, "hi"))


def test_a_defect_in_a_provider_is_its_failure() -> None:
    stage = run([member(Fake(fails(KeyError("x")))), member(Fake(says("Hello.")), "two")], Ask(1, "hi"))
    assert stage.text == "Hello."
    assert "KeyError" in stage.told()[0]


def test_providers_that_say_a_word_and_fail_do_not_go_on_for_ever() -> None:
    word = says("word ", then=broke())
    with pytest.raises(ProviderError):
        run([member(Fake(word)), member(Fake(word), "two")], Ask(1, "hi"))


@given(st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_attempts_are_bounded_however_far_each_comes(one: int, two: int, continuous: bool) -> None:
    """A word and then a failure, again and again: each provider has the attempts of its `retry`, for every kind of
    call."""
    reply = [Fake(says("well, ", then=broke()), resumes=True) for _ in range(2)]
    voice = [Fake(narrates(fail_clause=0, fail_at=1), kind="tts", continuous=True) for _ in range(2)]
    clause = [Fake(speaks(16_000, fail_at=1), kind="tts") for _ in range(2)]
    text = " ".join(f"word{place}" for place in range(40))
    requests: list[tuple[list[Fake], Message, Fed]] = [
        (reply, Ask(1, "hi"), Fed()),
        (voice, Narrate(), Fed([(0.0, Speak(0, text))])) if continuous else (clause, Speak(0, text), Fed()),
    ]
    for fakes, request, fed in requests:
        retries = [Retry(max=most, backoff=us("1ms")) for most in (one, two)]
        members = [member(fake, name, retry=r) for fake, name, r in zip(fakes, ("one", "two"), retries, strict=True)]
        with pytest.raises(ProviderError, match="every provider failed"):
            run(members, request, fed)
        assert [len(fake.asked) for fake in fakes] == [1 + one, 1 + two]


def test_after_a_provider_that_says_a_word_and_fails_the_apology_follows() -> None:
    first = Fake(says("Well, ", then=broke()), resumes=True)
    sorry = Fake(says("Sorry, one moment."))
    stage = run([member(first, retry=Retry(max=1)), member(sorry, "two")], Ask(1, "hi"))
    assert len(first.asked) == 2
    assert stage.text.endswith("Sorry, one moment.")


def test_to_give_a_part_and_fail_is_a_failure_to_the_circuit() -> None:
    first = Fake(says("Well, ", then=broke()), resumes=True)
    members = [member(first, circuit=Circuit(open_after=2)), member(Fake(says("x")), "two")]
    run(members, Ask(1, "hi"), times=5)
    assert len(first.asked) == 2


# -- retries and circuits ----------------------------------------------------------------------------------------------


def test_a_passing_fault_is_tried_again_after_a_growing_wait() -> None:
    retry = Retry(max=3, backoff=us("100ms"), jitter=0.0)
    first = Fake(fails(broke()), fails(broke()), says("Hello.", pause_s=0))
    stage = run([member(first, first="2s", retry=retry)], Ask(1, "hi"))
    assert stage.text == "Hello."
    assert stage.at_ms == [300]
    assert [line.rsplit("; ", 1)[-1] for line in stage.told()[:2]] == ["again in 100 ms", "again in 200 ms"]


def test_no_retry_goes_past_the_deadline() -> None:
    retry = Retry(max=5, backoff=us("400ms"), jitter=0.0)
    members = [member(Fake(fails(broke())), first="900ms", retry=retry), member(Fake(says("Hello.", pause_s=0)), "two")]
    stage = run(members, Ask(1, "hi"))
    assert stage.at_ms == [400]  # a second wait of 800 ms would end after the deadline


def test_a_wait_that_the_provider_asks_for_is_kept_or_not_waited_for() -> None:
    retry = Retry(max=1, backoff=us("10ms"), jitter=0.0)
    short = run([member(Fake(fails(broke(200_000)), says("A", pause_s=0)), first="1s", retry=retry)], Ask(1, "hi"))
    assert short.at_ms == [200]
    limit = CloudError(Trouble.LIMIT, "HTTP 429", retry_after_us=us("2min"))
    members = [member(Fake(fails(limit)), first="1s", retry=retry), member(Fake(says("B", pause_s=0)), "two")]
    long = run(members, Ask(1, "hi"))
    assert (long.text, long.at_ms) == ("B", [0])
    assert long.told()[0].endswith("left out for now")


def test_a_fault_that_lasts_is_not_tried_again() -> None:
    auth = Fake(fails(CloudError(Trouble.AUTH, "HTTP 401")))
    run([member(auth, retry=Retry(max=5), circuit=Circuit()), member(Fake(says("x")), "two")], Ask(1, "hi"), times=3)
    assert len(auth.asked) == 1


def test_a_circuit_opens_after_failures_in_a_row_and_is_probed() -> None:
    bad = Fake(fails(broke()))
    circuit = Circuit(open_after=2, probe_every=us("30s"))

    async def slowly(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await trio.sleep(10)
        await emit(Token(0, "x"))

    run([member(bad, circuit=circuit), member(Fake(slowly), "two")], Ask(1, "hi"), times=7)
    # calls at 0, 10 s: fail; 20, 30 s: left out; 40 s (the probe), then 50 s and 60 s left out
    assert len(bad.asked) == 3


def test_a_lone_provider_is_asked_even_if_its_circuit_is_open() -> None:
    lone = Fake(fails(broke()), fails(broke()), says("Hello."))
    stage, members = Stage(), [member(lone, circuit=Circuit(open_after=1))]
    for _ in range(2):
        with pytest.raises(ProviderError):
            run(members, Ask(1, "hi"), stage=stage)
    assert run(members, Ask(1, "hi"), stage=stage).text == "Hello."


# -- a voice -----------------------------------------------------------------------------------------------------------


def speaks(rate: int, *, fail_at: int | None = None, words: bool = True, per_char: int = 100) -> Behave:
    """A TTS: a fixed number of samples per character, in pieces of one word. Fails after `fail_at` words."""

    async def behave(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        assert isinstance(request, Speak)
        ends, end = [], 0
        for word in request.text.split():
            end = request.text.index(word, end) + len(word)
            ends.append((word, end * per_char))
        if words:
            await emit(WordTimes(request.clause, tuple(ends)))
        done = 0
        for place, (_, at) in enumerate(ends):
            if place == fail_at:
                raise broke()
            await emit(Audio(request.clause, done, at - done, rate, 0, bytes(2 * (at - done))))
            done = at

    return behave


def test_a_clause_is_finished_by_the_next_voice_from_the_word_that_is_missing() -> None:
    second = Fake(speaks(16_000), kind="tts")
    members = [member(Fake(speaks(16_000, fail_at=2), kind="tts")), member(second, "two")]
    stage = run(members, Speak(3, "one two three four"))
    assert second.asked == [Speak(3, "three four")]
    times = [item for item in stage.items if isinstance(item, WordTimes)][-1]
    assert [word for word, _ in times.words] == ["one", "two", "three", "four"]
    audio = [item for item in stage.items if isinstance(item, Audio)]
    assert [a.first_sample for a in audio] == [sum(b.samples for b in audio[:i]) for i in range(len(audio))]


def test_without_word_times_the_reading_speed_says_how_far_it_came() -> None:
    second = Fake(speaks(16_000, words=False), kind="tts")
    text = "one two three four five six"
    slow = speaks(16_000, fail_at=3, words=False, per_char=1_067)  # 15 characters a second
    run([member(Fake(slow, kind="tts")), member(second, "two")], Speak(0, text))
    assert second.asked == [Speak(0, "four five six")]


@pytest.mark.parametrize(
    ("text", "sounded_s", "rest"),
    [
        ("今日の天気は晴れです。", 0.7, "天気は晴れです。"),
        ("你好，今天天气很好。", 1.0, "天气很好。"),
        ("วันนี้อากาศดีมากครับ", 0.5, "อากาศดีมากครับ"),
        ("Один два три", 0.6, "три"),
    ],
)
def test_a_clause_is_finished_from_where_it_broke_off_in_every_script(text: str, sounded_s: float, rest: str) -> None:
    async def breaks(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        samples = round(16_000 * sounded_s)
        await emit(Audio(0, 0, samples, 16_000, 0, bytes(2 * samples)))
        raise broke()

    second = Fake(speaks(16_000, words=False), kind="tts")
    run([member(Fake(breaks, kind="tts")), member(second, "two")], Speak(0, text))
    assert second.asked == [Speak(0, rest)]


def test_word_times_say_where_a_text_without_spaces_broke_off() -> None:
    async def breaks(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(WordTimes(0, (("今日", 800), ("の", 1_200), ("天気", 2_000))))
        await emit(Audio(0, 0, 1_300, 16_000, 0, bytes(2_600)))
        raise broke()

    second = Fake(speaks(16_000, words=False), kind="tts")
    run([member(Fake(breaks, kind="tts")), member(second, "two")], Speak(0, "今日の天気は晴れです。"))
    assert second.asked == [Speak(0, "天気は晴れです。")]


def test_a_voice_of_another_rate_counts_in_its_own_samples() -> None:
    members = [
        member(Fake(speaks(24_000, fail_at=1, per_char=150), kind="tts")),
        member(Fake(speaks(16_000, per_char=100), kind="tts"), "two"),
    ]
    stage = run(members, Speak(0, "one two"))
    audio = [item for item in stage.items if isinstance(item, Audio)]
    assert [(a.rate_hz, a.first_sample, a.samples) for a in audio] == [(24_000, 0, 450), (16_000, 300, 300)]


def test_a_clause_that_had_sounded_whole_is_not_asked_for_again() -> None:
    async def all_but_the_end(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await speaks(16_000)(request, fed, emit)
        raise broke()

    second = Fake(speaks(16_000), kind="tts")
    stage = run([member(Fake(all_but_the_end, kind="tts")), member(second, "two")], Speak(0, "one two"))
    assert second.asked == []
    assert sum(item.samples for item in stage.items if isinstance(item, Audio)) == 700


def narrates(*, fail_clause: int | None = None, fail_at: int | None = None) -> Behave:
    """A continuous voice; breaks in the middle of one clause."""

    async def behave(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            assert isinstance(item, Speak)
            at = fail_at if item.clause == fail_clause else None
            if item.text.strip():
                await speaks(16_000, fail_at=at)(item, fed, emit)
            await emit(ClauseEnded(item.clause, 0))

    return behave


CLAUSES = ["one two three", "four five", "", "six seven eight"]


@pytest.mark.parametrize("continuous", [False, True])
@pytest.mark.parametrize("clause", [0, 1, 3])
def test_a_reply_is_spoken_whole_and_in_order_by_two_voices(clause: int, continuous: bool) -> None:
    first = Fake(narrates(fail_clause=clause, fail_at=1), kind="tts", continuous=True)
    second = Fake(narrates() if continuous else speaks(16_000), kind="tts", continuous=continuous)
    fed = Fed((0.01, Speak(index, text)) for index, text in enumerate(CLAUSES))
    stage = run([member(first), member(second, "two")], Narrate(), fed)
    ends = [item.clause for item in stage.items if isinstance(item, ClauseEnded)]
    assert ends == [0, 1, 2, 3]
    last: dict[int, WordTimes] = {item.clause: item for item in stage.items if isinstance(item, WordTimes)}
    assert [word for index in sorted(last) for word, _ in last[index].words] == " ".join(CLAUSES).split()
    samples = {item.clause: item.samples for item in stage.items if isinstance(item, ClauseEnded)}
    for index in (0, 1, 3):
        assert samples[index] == sum(a.samples for a in stage.items if isinstance(a, Audio) and a.clause == index)


def test_a_clause_that_a_voice_did_not_say_stays_unsaid() -> None:
    async def mute(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            assert isinstance(item, Speak)
            await emit(ClauseEnded(item.clause, 0, whole=False))

    voice = Fake(mute, kind="tts", continuous=True)
    assert run([member(voice)], Narrate(), Fed([(0.0, Speak(0, "one"))])).items == [ClauseEnded(0, 0, whole=False)]


def test_a_voice_that_waits_for_text_is_not_silent() -> None:
    fed = Fed([(0.0, Speak(0, "one")), (20.0, Speak(1, "two"))])
    voice = Fake(narrates(), kind="tts", continuous=True)
    stage = run([member(voice, first="1s", idle="1s")], Narrate(), fed)
    assert [item.clause for item in stage.items if isinstance(item, ClauseEnded)] == [0, 1]


# -- transcription -----------------------------------------------------------------------------------------------------


def hears(heard: list[int], *, fail_after: int | None = None) -> Behave:
    """An ASR whose final is the number of voiced frames it was fed; breaks after so many frames."""

    async def behave(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        voiced = frames = 0
        async for item in fed:
            if isinstance(item, Frames):
                frames += item.count
                heard.append(item.index)
                voiced += bool(any(item.pcm))
                if fail_after is not None and frames >= fail_after:
                    raise broke()
            elif isinstance(item, EndOfUtterance):
                await emit(Final(f"{voiced} frames", item.utterance))
                voiced = 0

    return behave


def speech(utterances: int = 2, voiced: int = 50, quiet: int = 30) -> Fed:
    items: list[tuple[float, Message]] = []
    index = 0
    for number in range(1, utterances + 1):
        for place in range(voiced + quiet):
            items.append((0.02, Frames(index, 1, b"\1\1" if place < voiced else b"\0\0")))
            if place == 3:
                items.append((0, SpeechStarted(index - 3)))
            index += 1
        items.append((0, EndOfUtterance(number, index - quiet - 1)))
    return Fed(items)


@pytest.mark.parametrize("breaks_after", [1, 20, 49, 75, 80, 81, 100, 155])
def test_no_utterance_is_lost_or_heard_twice_when_a_connection_breaks(breaks_after: int) -> None:
    members = [member(Fake(hears([], fail_after=breaks_after), kind="asr")), member(Fake(hears([]), kind="asr"), "two")]
    stage = run(members, Transcribe(), speech())
    finals = [item for item in stage.items if isinstance(item, Final)]
    assert finals == [Final("50 frames", 1), Final("50 frames", 2)]


def test_an_asr_that_owes_a_final_is_left_at_its_timeout() -> None:
    async def deaf(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for _ in fed:
            pass
        await trio.sleep_forever()

    members = [member(Fake(deaf, kind="asr"), first="300ms"), member(Fake(hears([]), kind="asr"), "two")]
    stage = run(members, Transcribe(), speech(1))
    assert [(item.text, at) for item, at in zip(stage.items, stage.at_ms, strict=True) if isinstance(item, Final)] == [
        ("50 frames", 1900)
    ]


def test_the_preferred_asr_gets_the_next_utterance_once_it_may_be_asked_again() -> None:
    first_heard: list[int] = []
    second_heard: list[int] = []
    first = Fake(hears([], fail_after=10), hears(first_heard), kind="asr")
    circuit = Circuit(open_after=1, probe_every=us("1s"))
    members = [member(first, circuit=circuit), member(Fake(hears(second_heard), kind="asr"), "two")]
    stage = run(members, Transcribe(), speech(3))
    assert [item.text for item in stage.items if isinstance(item, Final)] == ["50 frames"] * 3
    assert len(first.asked) == 2
    assert max(second_heard) < 82
    assert stage.told("failover")


def test_a_long_session_may_fail_more_often_than_one_call_may() -> None:
    members = [
        member(Fake(hears([], fail_after=85), kind="asr")),
        member(Fake(hears([], fail_after=85), kind="asr"), "two"),
    ]
    stage = run(members, Transcribe(), speech(6))
    assert len([item for item in stage.items if isinstance(item, Final)]) == 6


def test_an_utterance_that_was_ended_for_its_length_leaves_the_next_one_s_beginning() -> None:
    """The beginning is told ahead of the end, so that it is fed before it, and must not be forgotten with it."""

    async def first_only(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            if isinstance(item, EndOfUtterance):
                await emit(Final("first", item.utterance))
                raise broke()

    async def from_its_beginning(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        begun: int | None = None
        async for item in fed:
            if isinstance(item, SpeechStarted):
                begun = item.frame
            elif isinstance(item, EndOfUtterance):
                await emit(Final(f"from {begun}", item.utterance))

    frames: list[tuple[float, Message]] = [(0.02, Frames(index, 1, b"\1\1")) for index in range(300)]
    cut: list[tuple[float, Message]] = [(0, SpeechStarted(100, goes_on=True)), (0, EndOfUtterance(1, 99))]
    fed = [(0.0, SpeechStarted(0)), *frames[:100], *cut, *frames[100:], (0.0, EndOfUtterance(2, 299))]
    members = [member(Fake(first_only, kind="asr")), member(Fake(from_its_beginning, kind="asr"), "two")]
    stage = run(members, Transcribe(), Fed(fed))
    assert [item.text for item in stage.items if isinstance(item, Final)] == ["first", "from 100"]


async def deafly(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
    """An ASR that answers every end of utterance with an empty transcript."""
    async for item in fed:
        if isinstance(item, EndOfUtterance):
            await emit(Final("", item.utterance))


def test_voice_without_words_again_and_again_opens_the_circuit() -> None:
    deaf = Fake(deafly, kind="asr")
    circuit = Circuit(open_after=2, probe_every=us("1min"))
    members = [member(deaf, circuit=circuit), member(Fake(hears([]), kind="asr"), "two")]
    stage = run(members, Transcribe(), speech(5))
    assert [item.text for item in stage.items if isinstance(item, Final)] == ["", "", *["50 frames"] * 3]
    assert "(deaf): one: heard no words in 2 utterances of voice; left out for now" in stage.told()[0]


def test_words_in_between_show_that_an_ear_is_none_the_worse() -> None:
    said = iter(["", "", "hello", "", "", "hello"])

    async def now_and_then(request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        async for item in fed:
            if isinstance(item, EndOfUtterance):
                await emit(Final(next(said), item.utterance))

    members = [
        member(Fake(now_and_then, kind="asr"), circuit=Circuit(open_after=3)),
        member(Fake(hears([]), kind="asr"), "two"),
    ]
    run(members, Transcribe(), speech(6))
    assert next(said, None) is None


def test_a_lone_ear_that_hears_no_words_is_told_of_and_kept() -> None:
    """Either nobody speaks words in this room, or the ASR does not work. No other stage could notice it."""
    stage = run([member(Fake(deafly, kind="asr"), circuit=Circuit(open_after=2))], Transcribe(), speech(3))
    assert stage.told("deaf") == [f"asr one: heard no words in {n} utterances of voice" for n in (2, 3)]
    assert len([item for item in stage.items if isinstance(item, Final)]) == 3


@pytest.mark.parametrize("asked", ["6s", "2min", "120min"])
def test_an_ear_that_asks_for_a_long_wait_is_left_at_once(asked: str) -> None:
    """Nothing is owed while nobody speaks, so there is no deadline: yet somebody will speak before the wait is over."""
    limit = CloudError(Trouble.LIMIT, "HTTP 429", retry_after_us=us(asked))
    members = [
        member(Fake(fails(limit), kind="asr"), retry=Retry(max=3), circuit=Circuit()),
        member(Fake(hears([]), kind="asr"), "two"),
    ]
    stage = run(members, Transcribe(), speech(1))
    assert [item.text for item in stage.items if isinstance(item, Final)] == ["50 frames"]
    assert stage.told()[0].endswith("left out for now")


def test_a_lone_ear_that_asks_for_a_long_wait_is_a_fault() -> None:
    limit = CloudError(Trouble.LIMIT, "HTTP 429", retry_after_us=us("120min"))
    with pytest.raises(ProviderError, match="HTTP 429"):
        run([member(Fake(fails(limit), kind="asr"), retry=Retry(max=3))], Transcribe(), speech(1))


# -- the list itself ---------------------------------------------------------------------------------------------------


class NotThere(Provider):
    kind = "llm"
    name = "not_there"

    @asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        raise ProviderMissing("not installed")
        yield

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        raise AssertionError


class Hello(Provider):
    kind = "llm"
    name = "hello"

    async def call(self, request: Message, fed: AsyncIterator[Message], emit: Emit) -> None:
        await emit(Token(0, "Hello."))


def planned(*classes: type[Provider]) -> PlannedStage:
    choices = [ProviderChoice(cls.name, cls, cls.Options()) for cls in classes]
    return PlannedStage("llm", "llm", LlmTurn, LlmTurn.Options(), choices[0], tuple(choices[1:]))


def test_one_that_is_not_there_is_left_out_with_a_notice() -> None:
    stage = Stage()

    async def main() -> None:
        around = stage.around()
        async with (
            open_models(around.notice) as models,
            resilient(planned(NotThere, Hello), around, models) as provider,
        ):
            await provider.call(Ask(1, "hi"), Fed(), stage.emit)

    trio.run(main)
    assert stage.text == "Hello."
    assert stage.notices == ["llm: not_there is left out: not installed"]


def test_if_none_is_there_the_first_ones_error_says_why() -> None:
    async def main() -> None:
        around = Stage().around()
        async with open_models(around.notice) as models, resilient(planned(NotThere, NotThere), around, models):
            raise AssertionError

    with pytest.raises(ProviderMissing):
        trio.run(main)


def test_a_lone_provider_is_not_wrapped() -> None:
    async def main() -> None:
        around = Stage().around()
        async with open_models(around.notice) as models, resilient(planned(Hello), around, models) as provider:
            assert isinstance(provider, Hello)

    trio.run(main)


def test_a_cancelled_call_leaves_nothing_behind() -> None:
    stage = Stage()

    async def main() -> None:
        provider = Resilient("llm", [member(Fake(silent)), member(Fake(silent), "two")], stage.around())
        before = trio.lowlevel.current_statistics().tasks_living
        for _ in range(50):
            with trio.move_on_after(0.01):
                await provider.call(Ask(1, "hi"), Fed(), stage.emit)
        assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_stage_that_hangs_up_is_no_failure_of_the_provider() -> None:
    stage = Stage()

    async def hung_up(item: Message) -> None:
        raise trio.BrokenResourceError

    async def main() -> None:
        provider = Resilient("llm", [member(Fake(says("One."))), member(Fake(says("Two.")), "two")], stage.around())
        with trio.move_on_after(1):
            await provider.call(Ask(1, "hi"), Fed(), hung_up)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert stage.events == []
