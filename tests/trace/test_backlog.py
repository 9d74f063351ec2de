"""A slow disk: up to a minute of the session waits for it. After that recording ends and says so."""

import threading
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from flowkit.plan import Plan
from flowkit.runtime.alarms import open_alarms
from flowkit.runtime.clock import SessionClock
from flowkit.runtime.pump import TrioPump
from flowkit.testing.sessions import providers_of
from flowkit.trace.reader import read_trace
from flowkit.trace.recorder import open_recorder
from flowkit.trace.tape import Job, Recording, Tape
from flowkit.trace.thread import LONGEST_US, Backlog, WritingThread
from tests.trace.recording import Kept
from tests.trace.sessions import pipeline, planned


@given(st.lists(st.one_of(st.none(), st.integers(0, LONGEST_US // 2)), max_size=20))
def test_it_gives_back_in_order_what_it_took(steps: list[int | None]) -> None:
    """A step is a hand-over some time after the one before, or None for the writing thread's turn."""
    written: list[Job] = []
    backlog, model, whole = Backlog(Written(written)), list[Job](), list[Job]()
    oldest_us: int | None = None
    at_us = 0
    for step in steps:
        if step is not None:
            at_us += step
            job = Job([], [(at_us, "", "")])
            oldest_us = at_us if oldest_us is None else oldest_us
            assert backlog.put(at_us, job) is (at_us - oldest_us <= LONGEST_US)
            if at_us - oldest_us > LONGEST_US:
                model, oldest_us = [], None
                break
            model.append(job)
        else:
            assert backlog.write() is bool(model)
            whole, model, oldest_us = whole + model, [], None
            assert written == whole
    while backlog.write():
        pass
    assert written == whole + model
    assert backlog.written


class Written:
    """A writer that collects what it has to write."""

    def __init__(self, jobs: list[Job]) -> None:
        self._jobs = jobs

    def write(self, jobs: list[Job]) -> None:
        self._jobs += jobs

    def idle(self) -> None:
        raise AssertionError("not after so short a time")


def test_a_quiet_session_is_not_one_that_waits() -> None:
    backlog = Backlog(Written([]))
    for minute in range(5):
        assert backlog.put(minute * 2 * LONGEST_US, Job([], []))
        assert backlog.write()


def test_who_ends_a_recording_waits_until_the_thread_has_left_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quiet session ends while its chunk under way is written: nobody may finish that chunk beside the thread."""
    monkeypatch.setattr("flowkit.trace.thread._IDLE_US", -1)
    inside, leave = threading.Event(), threading.Event()

    class Quiet(Written):
        calls = 0

        def idle(self) -> None:
            self.calls += 1
            inside.set()
            leave.wait()

    writer, thread = Quiet([]), WritingThread()
    backlog = Backlog(writer)
    thread.add(backlog)
    inside.wait()
    assert not backlog.written
    ends = threading.Thread(target=thread.remove, args=(backlog,))
    ends.start()
    leave.set()
    ends.join()
    assert backlog.written
    assert not backlog.due()
    assert not backlog.write(), "the thread may look at it once more"
    assert writer.calls == 1


@pytest.mark.parametrize("jobs", [3, 100])
def test_the_thread_rests_after_each_piece_unless_more_waits_than_a_piece(jobs: int) -> None:
    """Sessions that began together complete their chunks together, and must not wait for all of them in a row."""
    done, rests = threading.Event(), list[tuple[float, int]]()

    class Watched(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append((timeout or 0, len(backlog.waiting)))
            if backlog.written:
                done.set()
            return super().wait(timeout)

    class Slow(Written):
        def write(self, jobs: list[Job]) -> None:
            assert not super().write(jobs)
            now_us[0] += 2_000_000

    now_us, thread = [0], WritingThread()
    thread._look = Watched()
    backlog = Backlog(Slow([]))
    for _ in range(jobs):
        assert backlog.put(0, Job([], []))
    backlog.hurry()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flowkit.trace.thread.monotonic_us", lambda: now_us[0])
        thread._look.set()  # nothing is waited for here
        thread.add(backlog)
        done.wait()
        thread.remove(backlog)
    assert (4.0, 0) in rests
    assert not [waiting for _, waiting in rests if waiting > 20]


class Stuck:
    """A disk on which nothing can be written until `freed` is set."""

    def __init__(self, patched: pytest.MonkeyPatch) -> None:
        self.freed = threading.Event()
        write = Tape.job

        def stuck(tape: Tape, job: Job) -> None:
            self.freed.wait()
            write(tape, job)

        patched.setattr(Tape, "job", stuck)


def recorded(path: Path, plan: Plan, disk: Stuck) -> tuple[Recording, Kept, int]:
    """Run `plan` on the live pump, while nothing can be written; also returns how many hand-overs there were."""
    recorder, kept, handed = open_recorder(path, plan), Kept(), 0
    rows = recorder.rows

    def counted(new: list[object]) -> None:
        nonlocal handed
        handed += 1
        rows(new)

    recorder.rows = counted  # type: ignore[method-assign]

    async def main() -> None:
        clock, settled = SessionClock(), trio.testing.wait_all_tasks_blocked
        observers = (recorder, kept)
        async with open_alarms() as alarms, providers_of(plan, clock) as providers:
            await TrioPump(plan, providers, clock, alarms, observers=observers, settled=settled).run()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    disk.freed.set()
    return recorder.close("input_ended"), kept, handed


def test_a_disk_held_for_nearly_a_minute_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(pipeline(mic="length: 58s"))
    recording, kept, handed = recorded(tmp_path / "a.jsonl", plan, Stuck(monkeypatch))
    assert kept.all[-1].handled_us > 57_000_000
    assert handed > 300, "more than a bound in hand-overs would have been thought to cover"
    assert recording.lost == ""
    assert read_trace(recording.path).rows() == [tuple(row) for row in kept.all]


def test_beyond_a_minute_recording_ends_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(pipeline(mic="length: 63s"))
    recording, kept, _ = recorded(tmp_path / "a.jsonl", plan, Stuck(monkeypatch))
    assert kept.all[-1].handled_us > 62_000_000, "the session itself went on"
    assert "the disk could not keep up" in recording.lost
    assert recording.rows == 0
