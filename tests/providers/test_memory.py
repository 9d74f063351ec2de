from collections.abc import AsyncIterator

import trio
from trio.testing import MockClock

from flowkit.messages import Message, Play, Render, Silence
from flowkit.providers.sound.memory import MemorySink
from flowkit.providers.sound.timeline import Pop
from tests.providers.support import Answers, FakeSession

RATE_HZ = 16_000
FRAME_SAMPLES = 320


def voice(at_ms: int, samples: int, epoch: int = 1, clause: int = 0) -> Play:
    return Play(at_ms * 1_000, clause, 0, samples, RATE_HZ, epoch, b"\1\0" * samples)


def heard(script: list[tuple[int, Message]], until_ms: int, on_pop: list[Pop] | None = None) -> list[Pop]:
    """What a sink plays of `script`, whose messages are fed at their times in milliseconds.

    The session ends at `until_ms`.
    """

    async def main() -> list[Pop]:
        callback = on_pop.append if on_pop is not None else None
        sink = MemorySink(MemorySink.Options(on_pop=callback), FakeSession().around())

        async def fed() -> AsyncIterator[Message]:
            for at_ms, message in script:
                await trio.sleep_until(start + at_ms / 1_000)
                yield message
            await trio.sleep_until(start + until_ms / 1_000)

        start = trio.current_time()
        async with sink.ready():
            await sink.call(Render(), fed(), Answers().emit)
        return sink.pops

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def test_sound_is_popped_frame_by_frame_in_its_time() -> None:
    pops = heard([(5, voice(20, 2 * FRAME_SAMPLES))], until_ms=100)
    assert [(pop.t_us, pop.first_sample, pop.samples) for pop in pops] == [
        (20_000, 0, FRAME_SAMPLES),
        (40_000, FRAME_SAMPLES, FRAME_SAMPLES),
    ]


def test_after_a_silence_no_frame_of_the_old_reply_is_popped() -> None:
    script: list[tuple[int, Message]] = [
        (0, voice(20, 10 * FRAME_SAMPLES, epoch=1)),
        (50, Silence(60_000)),
        (70, voice(80, FRAME_SAMPLES, epoch=2)),
    ]
    pops = heard(script, until_ms=400)
    assert [(pop.t_us, pop.epoch) for pop in pops] == [(20_000, 1), (40_000, 1), (80_000, 2)]


def test_what_is_not_due_when_the_session_ends_never_sounded() -> None:
    assert len(heard([(0, voice(20, 100 * FRAME_SAMPLES))], until_ms=50)) == 2


def test_an_embedding_program_is_told_of_each_pop() -> None:
    told: list[Pop] = []
    assert heard([(0, voice(20, FRAME_SAMPLES))], until_ms=100, on_pop=told) == []
    assert [pop.samples for pop in told] == [FRAME_SAMPLES]
