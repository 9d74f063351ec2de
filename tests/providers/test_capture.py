import trio
from trio.testing import MockClock

from flowkit.clock import US_PER_S
from flowkit.messages import Capture, Frames, InputEnded, Message
from flowkit.providers.sound.memory import MemorySource
from tests.providers.support import FRAME_BYTES, Answers, FakeSession, PacedItems, answer


def source(pcm: bytes, pieces: tuple[bytes, ...] = ()) -> MemorySource:
    return MemorySource(MemorySource.Options(pcm=pcm, frames=pieces), FakeSession().around())


def after(count: int) -> object:
    return lambda items: len(items) >= count


def test_frames_then_the_end_then_silence_for_ever() -> None:
    async def main() -> list[Message]:
        found = await answer(source(b"\1" * FRAME_BYTES + b"\2" * 10), Capture(), enough=lambda items: len(items) == 5)
        return found.items

    items = trio.run(main, clock=MockClock(autojump_threshold=0))
    assert items == [Frames(0, 1), Frames(1, 1), InputEnded(2), Frames(2, 1), Frames(3, 1)]
    sounds = [item.pcm for item in items if isinstance(item, Frames)]
    assert sounds == [
        b"\1" * FRAME_BYTES,
        (b"\2" * 10).ljust(FRAME_BYTES, b"\0"),
        bytes(FRAME_BYTES),
        bytes(FRAME_BYTES),
    ]


def test_nothing_to_hear_ends_at_once() -> None:
    async def main() -> list[Message]:
        return (await answer(source(b""), Capture(), enough=lambda items: len(items) == 2)).items

    assert trio.run(main, clock=MockClock(autojump_threshold=0)) == [InputEnded(0), Frames(0, 1)]


def test_pieces_of_any_length_are_joined() -> None:
    async def main() -> list[Message]:
        pieces = (b"\1" * 600, b"\2" * 40)
        return (await answer(source(b"", pieces), Capture(), enough=lambda items: len(items) == 2)).items

    first, end = trio.run(main, clock=MockClock(autojump_threshold=0))
    assert isinstance(first, Frames)
    assert first.pcm == b"\1" * 600 + b"\2" * 40
    assert end == InputEnded(1)


def test_a_late_frame_does_not_move_the_next() -> None:
    """Relative pacing would add up all delays. Here the stage takes 15 ms for each frame, and 50 ms for one."""

    async def main() -> list[int]:
        mic, times = source(b""), list[int]()
        answers = Answers(lambda items: len(items) == 12)

        async def slow(item: Message) -> None:
            if isinstance(item, Frames):
                times.append(mic.around.now_us())
                await trio.sleep(0.050 if item.index == 3 else 0.015)
            await answers.emit(item)

        with answers.scope:
            await mic.call(Capture(), PacedItems(()), slow)
        return times

    times = trio.run(main, clock=MockClock(autojump_threshold=0))
    late = [time - (i + 1) * US_PER_S // 50 for i, time in enumerate(times)]
    # The long one ends at 130 ms; the frames of 100 and 120 ms follow it 15 ms apart, and from 160 ms on all is in time.
    assert late == [0, 0, 0, 0, 30_000, 25_000, 20_000, 15_000, 10_000, 5_000, 0]
