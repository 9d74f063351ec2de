"""Jobs in processes: the order of results, lost processes, errors, and an interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowkit.config.problems import InvalidConfig
from flowkit.errors import TraceError, WorkersError
from flowkit.jobs import Workers, in_order
from tests.jobs.work import Deed, do, pid, until

THREE = Workers(processes=3)


def deeds(*what: str, folder: Path | None = None, among: int = 20) -> list[Deed]:
    """`among` jobs that just return, with `what` in their middle."""
    middle = [Deed(name, str(folder)) for name in what]
    return [*map(Deed, map(str, range(among // 2))), *middle, *map(Deed, map(str, range(among // 2, among)))]


def results(items: list[Deed]) -> list[str]:
    return [what for what, _ in in_order(do, items, THREE)]


def test_results_come_in_order_from_several_processes() -> None:
    items = deeds(among=50)
    assert list(in_order(do, items, THREE)) == list(in_order(do, items, Workers())) == [do(item) for item in items]
    pids = set(in_order(pid, range(50), THREE))
    assert os.getpid() not in pids
    assert len(pids) <= 3


@pytest.mark.parametrize("jobs", [0, 1, 3])
def test_few_jobs_run_in_this_process(jobs: int) -> None:
    assert set(in_order(pid, range(jobs), THREE)) <= {os.getpid()}


@settings(max_examples=12)
@given(st.lists(st.booleans(), min_size=4, max_size=30), st.integers(2, 4))
def test_what_a_lost_process_was_at_is_done_again(dying: list[bool], processes: int) -> None:
    """Whichever jobs lose their first process, each result is there, once and in order."""
    with tempfile.TemporaryDirectory() as folder:
        items = [Deed("dies once", f"{folder}/{i}") if dies else Deed(str(i)) for i, dies in enumerate(dying)]
        for item in items:
            if item.folder:
                Path(item.folder).mkdir()
        found = [what for what, _ in in_order(do, items, Workers(processes))]
    assert found == [item.what for item in items]


@pytest.mark.parametrize(("what", "how"), [("dies", "SIGKILL"), ("leaves", "exit code 7")])
def test_a_job_that_loses_two_processes_is_an_error_that_names_it(what: str, how: str) -> None:
    known, raised = until(WorkersError, in_order(do, deeds(what), THREE))
    assert [what for what, _ in known] == [str(i) for i in range(10)]
    assert str(raised) == f"job {what}: its process ended 2 times ({how})"


def test_an_error_comes_in_its_place_as_it_was_raised() -> None:
    known, raised = until(TraceError, in_order(do, deeds("fails", "invalid"), THREE))
    assert [what for what, _ in known] == [str(i) for i in range(10)]
    assert (str(raised), raised.hint) == ("cannot be read", "record it again")  # type: ignore[attr-defined]
    assert any("in a worker" in note for note in raised.__notes__)
    with pytest.raises(InvalidConfig) as invalid:
        results(deeds("invalid"))
    assert invalid.value.problems[0].concise() == "p.yaml:1:1: no mapping (got 1) [FK011]"


@pytest.mark.parametrize("what", ["is odd", "is no result"])
def test_what_cannot_be_sent_is_an_error(what: str) -> None:
    kind, said = (RuntimeError, "Odd: it fails") if what == "is odd" else (AttributeError, "lambda")
    with pytest.raises(kind, match=said):
        results(deeds(what))


def test_whoever_stops_listening_ends_the_processes(tmp_path: Path) -> None:
    running = in_order(pid, range(40), THREE)
    first = next(running)
    running.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


INTERRUPTED = """
import sys
import tempfile
from flowkit.jobs import Workers, in_order
from tests.jobs.work import Deed, waits
if __name__ == "__main__":
    try:
        list(in_order(waits, [Deed(str(i), sys.argv[1]) for i in range(4)], Workers(2)))
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_an_interrupt_ends_the_processes_without_a_word(tmp_path: Path) -> None:
    """Ctrl-C reaches every process of the terminal at once."""
    script = tmp_path / "main.py"
    script.write_text(INTERRUPTED)
    said = tmp_path / "said"
    with said.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, str(script), str(tmp_path)],
            stdout=out,
            stderr=out,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.getcwd()},
        )
        begun = [tmp_path / "0", tmp_path / "1"]
        while not all(path.exists() and path.read_text() for path in begun):
            assert process.poll() is None, said.read_text()
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
    assert said.read_text() == ""
    for path in begun:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
