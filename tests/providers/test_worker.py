"""The worker process with a toy TTS: the guarantees for every TTS that runs in it."""

import glob
import os
import select
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from flowkit.errors import ProviderError
from flowkit.messages import Audio, Message, Speak
from flowkit.providers.waitlist import SharedOptions
from flowkit.providers.worker import parent
from flowkit.providers.worker.parent import Worker
from flowkit.providers.worker.voices import Voices
from tests.providers.support import Answers, FakeSession

TOY = "tests.providers.toy_voice"
ROOT = Path(__file__).parents[2]


def children() -> list[int]:
    """The child processes of this process that still run."""
    tasks = glob.glob(f"/proc/{os.getpid()}/task/*/children")
    return [int(pid) for task in tasks for pid in Path(task).read_text().split()]


def with_worker(use: Callable[[Worker], Awaitable[None]], **setup: Any) -> None:
    """Call `use` with a worker. Afterwards none of its processes may be left."""

    async def main() -> None:
        worker = Worker("tts toy", TOY, setup)
        with trio.fail_after(20):
            async with worker.running():
                await use(worker)

    before = children()
    try:
        trio.run(main)
    finally:
        assert children() == before


async def say(worker: Worker, text: str) -> list[Audio]:
    answers = Answers()
    await worker.answer(Speak(5, text), answers.emit)
    return answers.of(Audio)


async def cut_short(worker: Worker, text: str) -> None:
    """Make a request, and cancel it at the first piece."""
    answers = Answers(lambda items: True)
    with answers.scope:
        await worker.answer(Speak(5, text), answers.emit)
    assert len(answers.items) == 1


def letters(heard: list[Audio]) -> str:
    return b"".join(item.pcm for item in heard)[::2].decode()


def test_a_clause_comes_in_pieces_of_at_most_100_ms_in_order() -> None:
    async def use(worker: Worker) -> None:
        text = "x" * 130 + "y" * 120
        heard = await say(worker, text)
        assert [(item.clause, item.first_sample, item.samples) for item in heard] == [
            (5, 0, 100),
            (5, 100, 100),
            (5, 200, 50),
        ]
        assert {(item.rate_hz, item.total) for item in heard} == {(1_000, 250)}
        assert letters(heard) == text

    with_worker(use)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_to_say_is_nothing_to_hear(text: str) -> None:
    async def use(worker: Worker) -> None:
        assert await say(worker, text) == []

    with_worker(use)


def test_after_a_cancelled_clause_nothing_of_it_is_heard() -> None:
    async def use(worker: Worker) -> None:
        for _ in range(5):
            await cut_short(worker, "long")
            assert letters(await say(worker, "next")) == "next"

    with_worker(use)


def test_a_clause_that_one_session_holds_back_holds_up_no_other() -> None:
    async def use(worker: Worker) -> None:
        arrived, gate, taken = trio.Event(), trio.Event(), list[Message]()

        async def hesitant(item: Message) -> None:
            taken.append(item)
            arrived.set()
            await gate.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.answer, Speak(0, "long"), hesitant)
            await arrived.wait()
            for text in ("another", "and another"):
                assert letters(await say(worker, text)) == text
            assert len(taken) == 1
            gate.set()
        assert len(taken) == 100

    with_worker(use)


def test_more_than_a_minute_held_back_is_no_sign_of_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "_PIECES_AHEAD", 2)
    monkeypatch.setattr(parent, "PING_EVERY_S", 0.02)

    async def use(worker: Worker) -> None:
        gate, heard = trio.Event(), list[Audio]()

        async def hesitant(item: Message) -> None:
            await gate.wait()

        async def another() -> None:
            heard.extend(await say(worker, "another"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.answer, Speak(0, "long"), hesitant)
            await trio.testing.wait_all_tasks_blocked(0.1)
            nursery.start_soon(another)
            await trio.sleep(0.3)
            assert not heard, "it is the other's turn"
            gate.set()
        assert letters(heard) == "another"
        assert worker._child.failure is None

    with_worker(use)


def test_a_cancelled_clause_takes_none_with_it_that_was_asked_for_before() -> None:
    async def use(worker: Worker) -> None:
        said: dict[str, list[Audio]] = {}

        async def speak(text: str) -> None:
            said[text] = await say(worker, text)

        async with trio.open_nursery() as nursery:
            for text in ("ponder", "second", "third"):
                nursery.start_soon(speak, text)
                await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(0.1):
                await say(worker, "nobody waits for this")
        assert [letters(said[text]) for text in ("ponder", "second", "third")] == ["p", "second", "third"]

    with_worker(use)


def test_any_number_of_clauses_wait_for_their_turn_in_as_many_processes_as_wanted() -> None:
    async def main(parallel: int) -> None:
        said: dict[str, list[Audio]] = {}
        options = SharedOptions(parallel=parallel, waiting=150)

        async def speak(voices: Voices, text: str) -> None:
            answers = Answers()
            await voices.answer(Speak(5, text), FakeSession().around(), answers.emit)
            said[text] = answers.of(Audio)

        with trio.fail_after(20):
            async with Voices("tts toy", TOY, {}, options).running() as voices:
                assert len(children()) == len(before) + parallel
                async with trio.open_nursery() as nursery:
                    for number in range(150):
                        nursery.start_soon(speak, voices, f"clause {number}")
        assert all(letters(heard) == text for text, heard in said.items())
        assert len(said) == 150

    before = children()
    for parallel in (1, 3):
        trio.run(main, parallel)
        assert children() == before


def test_a_clause_that_waits_to_be_played_lets_others_be_spoken() -> None:
    """The place is free as soon as the process has synthesized the clause."""

    async def main() -> None:
        gate, said = trio.Event(), list[Audio]()

        async def hesitant(item: Message) -> None:
            await gate.wait()

        async def speak(voices: Voices) -> None:
            answers = Answers()
            await voices.answer(Speak(5, "another"), FakeSession().around(), answers.emit)
            said.extend(answers.of(Audio))
            gate.set()

        with trio.fail_after(20):
            async with Voices("tts toy", TOY, {}, SharedOptions()).running() as voices, trio.open_nursery() as nursery:
                nursery.start_soon(voices.answer, Speak(0, "long"), FakeSession().around(), hesitant)
                await trio.testing.wait_all_tasks_blocked(0.1)
                nursery.start_soon(speak, voices)
        assert letters(said) == "another"

    trio.run(main)


def test_a_held_back_clause_waits() -> None:

    async def use(worker: Worker) -> None:
        arrived, gate, taken = trio.Event(), trio.Event(), list[Message]()

        async def hesitant(item: Message) -> None:
            taken.append(item)
            arrived.set()
            await gate.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker.answer, Speak(0, "long"), hesitant)
            await arrived.wait()
            await trio.testing.wait_all_tasks_blocked(0.2)
            assert len(taken) == 1
            gate.set()
        assert len(taken) == 100

    with_worker(use)


def test_a_clause_that_fails_is_an_error_and_the_next_is_not() -> None:
    async def use(worker: Worker) -> None:
        with pytest.raises(ProviderError, match=r"^tts toy: cannot say that$"):
            await say(worker, "fail")
        assert letters(await say(worker, "next")) == "next"

    with_worker(use)


def test_what_a_library_prints_does_no_harm() -> None:
    async def use(worker: Worker) -> None:
        assert len(await say(worker, "print")) == 1

    with_worker(use)


def test_a_voice_that_dies_of_a_clause_fails_it_and_is_replaced_for_the_next() -> None:
    """The clause is given to a second process, but not to a third."""
    others = set(children())

    async def use(worker: Worker) -> None:
        [first] = set(children()) - others
        answers = Answers()
        with pytest.raises(ProviderError, match=r"was ended by signal 6 \(the voice broke\)"):
            await worker.answer(Speak(5, "die"), answers.emit)
        assert [(item.first_sample, item.samples) for item in answers.of(Audio)] == [(0, 100)]
        assert letters(await say(worker, "next")) == "next"
        [second] = set(children()) - others
        assert second != first

    with_worker(use)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_the_clause_in_hand_is_spoken_once_by_a_new_process(
    how: signal.Signals, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is ended or stopped, before its first piece or within a clause."""
    monkeypatch.setattr(parent, "PING_EVERY_S", 0.2)
    others = set(children())
    text = "".join(chr(97 + place % 26) for place in range(450))

    async def use(worker: Worker) -> None:
        [first] = set(children()) - others
        heard: list[Audio] = []

        async def take(item: Message) -> None:
            assert isinstance(item, Audio)
            heard.append(item)
            if len(heard) == after:
                os.kill(first, how)
                await trio.testing.wait_all_tasks_blocked()

        if not after:
            os.kill(first, how)
        await worker.answer(Speak(5, f"slow {text}"), take)
        assert letters(heard) == text
        assert [item.first_sample for item in heard] == [sum(b.samples for b in heard[:i]) for i in range(len(heard))]

    with_worker(use)


def test_a_voice_that_takes_its_time_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "PING_EVERY_S", 0.1)
    others = set(children())

    async def use(worker: Worker) -> None:
        before = set(children()) - others
        assert letters(await say(worker, "ponder")) == "p"
        assert set(children()) - others == before

    with_worker(use)


def test_a_worker_that_is_killed_between_clauses_is_replaced() -> None:
    others = set(children())

    async def use(worker: Worker) -> None:
        [first] = set(children()) - others
        os.kill(first, signal.SIGKILL)
        with trio.fail_after(5):
            while not worker._child.over:
                await trio.lowlevel.checkpoint()
        assert letters(await say(worker, "next")) == "next"

    with_worker(use)


def test_a_voice_that_cannot_be_loaded_is_said() -> None:
    async def use(worker: Worker) -> None:
        raise AssertionError("must not become ready")

    with pytest.raises(ProviderError, match="cannot load the voice: there is no such voice"):
        with_worker(use, broken=True)


def test_an_error_of_the_session_passes_through_as_it_is() -> None:
    async def use(worker: Worker) -> None:
        raise LookupError("of the session")

    with pytest.raises(LookupError, match="of the session"):
        with_worker(use)


PARENT = """
import signal
import trio
from flowkit.providers.worker.parent import Worker

async def main():
    async with Worker("tts toy", "tests.providers.toy_voice", {}).running():
        print("ready", flush=True)
        await trio.sleep_forever()

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has it ignored
trio.run(main)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_no_orphan_is_left_when_the_parent_is_ended(how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PARENT]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment, start_new_session=True) as parent:
        try:
            assert parent.stdout is not None
            assert parent.stdout.readline() == b"ready\n"
            tasks = glob.glob(f"/proc/{parent.pid}/task/*/children")
            [child] = [int(pid) for task in tasks for pid in Path(task).read_text().split()]
            ended = os.pidfd_open(child)
            if how is signal.SIGINT:
                os.killpg(parent.pid, how)  # as a terminal does
            else:
                parent.send_signal(how)
            assert select.select([ended], [], [], 5)[0], "the worker is still there"
            os.close(ended)
        finally:
            parent.kill()


def test_words_without_sound_are_not_said() -> None:
    async def use(worker: Worker) -> None:
        with pytest.raises(ProviderError, match="returned no audio for 'mute'"):
            await say(worker, "mute")
        assert await say(worker, "...") != []
        assert await say(worker, "\0") == []

    with_worker(use)


def test_no_control_character_reaches_a_voice() -> None:
    async def use(worker: Worker) -> None:
        (audio,) = await say(worker, "a\0b\x01\ud83dc")
        assert audio.pcm[::2] == b"a b  c"

    with_worker(use)
