from collections.abc import AsyncIterator

import trio

from flowkit.messages import EndOfUtterance, Final, Frames, Message, Partial, SpeechStarted, Transcribe
from flowkit.providers.models import opened
from flowkit.providers.moonshine.asr import Moonshine
from tests.providers.support import Answers, FakeSession, answer, frames, installed, recorded

pytestmark = installed(Moonshine)

# Where the voice is in question.wav, in frames (audio.json: 500 to 2020 ms).
FIRST, LAST = 25, 100


def words(text: str) -> str:
    return text.casefold().strip(" .?!,")


async def transcribe(asr: Moonshine, script: list[Message], pace_s: float = 0.0) -> Answers:
    """Answers to `script`. With a pace, frames come in real time, which partial transcripts need."""
    if not pace_s:
        return await answer(asr, Transcribe(), script)
    answers = Answers()

    async def fed() -> AsyncIterator[Message]:
        for item in script:
            if isinstance(item, Frames):
                await trio.sleep_until(start + item.index * pace_s)
            yield item

    start = trio.current_time()
    await asr.call(Transcribe(), fed(), answers.emit)
    return answers


def utterance(pcm: bytes, number: int, first: int = FIRST, last: int = LAST) -> list[Message]:
    heard = frames(pcm)
    return [*heard[: first + 3], SpeechStarted(first), *heard[first + 3 : last + 20], EndOfUtterance(number, last)]


def shifted(script: list[Message], by: int) -> list[Message]:
    moved: list[Message] = []
    for item in script:
        match item:
            case Frames(index=index, count=count, pcm=pcm):
                moved.append(Frames(index + by, count, pcm))
            case SpeechStarted(frame=frame):
                moved.append(SpeechStarted(frame + by))
            case EndOfUtterance(utterance=number, last_voiced=last):
                moved.append(EndOfUtterance(number, last + by))
    return moved


def test_it_transcribes() -> None:
    """All checks use one loaded model, because loading takes longer than transcribing."""
    question = recorded("question.wav") + bytes(2 * 16_000)
    silence = bytes(2 * 16_000 * 3)

    async def main() -> None:
        async with opened(Moonshine, Moonshine.Options(), FakeSession().around()) as asr:
            await partials_lead_to_the_final(asr)
            await each_end_has_its_final(asr)
            await nothing_said_is_empty(asr)
            await long_speech_is_heard_whole(asr)
            await a_cancelled_call_leaves_at_once(asr)

    async def partials_lead_to_the_final(asr: Moonshine) -> None:
        answers = await transcribe(asr, utterance(question, 4), pace_s=0.02)
        assert answers.of(Final) == [Final(answers.of(Final)[0].text, 4)]
        assert words(answers.of(Final)[0].text) == "what is the capital of france"
        partials = answers.of(Partial)
        assert len(partials) >= 2
        assert words(partials[0].text).startswith("what")

    async def each_end_has_its_final(asr: Moonshine) -> None:
        script = utterance(question, 0)
        end = sum(isinstance(item, Frames) for item in script)
        answers = await transcribe(asr, script + shifted(utterance(question, 1), end))
        assert [final.utterance for final in answers.of(Final)] == [0, 1]
        assert [words(final.text) for final in answers.of(Final)] == ["what is the capital of france"] * 2

    async def nothing_said_is_empty(asr: Moonshine) -> None:
        answers = await transcribe(asr, utterance(silence, 0, 25, 40))
        assert answers.items == [Final("", 0)]

    async def long_speech_is_heard_whole(asr: Moonshine) -> None:
        short = Moonshine(Moonshine.Options(longest="4s"), asr.around, asr.model)
        spoken = recorded("question.wav")[2 * 8_000 : 2 * 32_640] + bytes(2 * 3_200)
        answers = await transcribe(short, utterance(bytes(16_000) + 4 * spoken, 0, 25, 25 + 4 * 86))
        assert words(answers.of(Final)[0].text).count("capital of france") == 4

    async def a_cancelled_call_leaves_at_once(asr: Moonshine) -> None:
        with trio.move_on_after(0.02) as scope:
            await transcribe(asr, utterance(question * 4, 0, 25, 300))
        assert scope.cancelled_caught
        again = await transcribe(asr, utterance(question, 0))
        assert words(again.of(Final)[0].text) == "what is the capital of france"

    trio.run(main)
