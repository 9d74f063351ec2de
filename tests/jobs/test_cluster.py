"""Jobs on a Dask cluster: a scheduler on loopback with three worker processes of one thread each."""

from __future__ import annotations

import builtins
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed")

import dask
from distributed import Client, LocalCluster

from flowkit.calls import sweep as calls_sweep
from flowkit.calls.sweep import points_of
from flowkit.cli import main
from flowkit.errors import TraceError, WorkersError
from flowkit.jobs import Workers, cluster, in_order
from flowkit.report.outcome import Outcome
from flowkit.testing.suite import collect, run
from tests.jobs.work import Deed, do, pid, until
from tests.suite.stage import project

TRACES = Path(__file__).parents[2] / "traces"
# Dask leaves some of its sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def dask_cluster() -> Iterator[Any]:
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=3, threads_per_worker=1, host="127.0.0.1", dashboard_address=":0") as made,
    ):
        yield made


@pytest.fixture
def workers(dask_cluster: Any) -> Workers:
    return Workers(cluster=dask_cluster.scheduler_address)


def timeless(outcomes: list[Outcome]) -> list[Outcome]:
    return [replace(outcome, wall_us=0) for outcome in outcomes]


def test_the_outcomes_of_tests_are_the_same_wherever_they_run(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serial, in processes, and on three workers, one of which is killed on the way. Paths are relative."""
    project(tmp_path, *(f"t{number:02}" for number in range(8)))
    for number in range(8):
        turns = 3 if number == 5 else 2
        (tmp_path / f"t{number:02}.expect.yaml").write_text(f"expect: [{{what: turns, equals: {turns}}}]\n")
    monkeypatch.chdir(tmp_path)
    items = collect(["."]).items
    serial = timeless(list(run(items, Workers())))
    assert [str(outcome.status) for outcome in serial].count("failed") == 1
    assert timeless(list(run(items, Workers(2)))) == serial
    with Client(workers.cluster, set_as_default=False) as client:
        victim = next(iter(client.run(os.getpid).values()))
        running, found = run(items, workers), []
        for outcome in running:
            if not found:
                os.kill(victim, signal.SIGKILL)
            found.append(outcome)
        assert victim not in client.run(os.getpid).values()
    assert timeless(found) == serial


def test_a_sweep_is_the_same_wherever_it_runs(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Serial, and on three workers, one of which is killed on the way."""
    points = points_of(["stages.vad.end=200ms..600ms/50ms", "stages.chunker.max_tokens=8,16"])
    traces = [str(TRACES / f"{name}.jsonl") for name in ("busy", "barge-in")]
    serial = calls_sweep.sweep(traces, points, Workers(), worlds=2)
    assert any(one.ranges for one in serial)

    def killing(*given: Any, **named: Any) -> Iterator[Any]:
        with Client(workers.cluster, set_as_default=False) as client:
            victim = next(iter(client.run(os.getpid).values()))
            for number, answer in enumerate(in_order(*given, **named)):
                if number == 0:
                    os.kill(victim, signal.SIGKILL)
                yield answer

    monkeypatch.setattr(calls_sweep, "in_order", killing)
    assert calls_sweep.sweep(traces, points, workers, worlds=2) == serial


def test_the_command_line_says_the_same(
    workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project(tmp_path, *"abcd")
    monkeypatch.chdir(tmp_path)
    traces = [f"{name}.jsonl" for name in "abcd"]
    for command in (["approve", "-y", *traces], ["test", "."], ["replay", "--exact", *traces]):
        said = []
        for where in ("-j1", "-j2", f"--dask={workers.cluster}"):
            assert main([*command, where]) == 0, capsys.readouterr().err
            told = capsys.readouterr()
            said.append(([line.partition(" s in ")[0].partition(" (")[0] for line in told.out.splitlines()], told.err))
            for path in tmp_path.glob("*.expect.yaml"):
                if command[0] == "approve":
                    path.unlink()
        assert said[0] == said[1] == said[2]
        if command[0] == "approve":
            assert main(command) == 0
            capsys.readouterr()


def test_what_a_lost_worker_was_at_is_done_again(workers: Workers, tmp_path: Path) -> None:
    items = [Deed("dies once", str(tmp_path)) if number == 7 else Deed(str(number)) for number in range(20)]
    assert [what for what, _ in in_order(do, items, workers)] == [item.what for item in items]


def test_a_job_that_loses_two_workers_is_an_error_that_names_it(workers: Workers) -> None:
    with pytest.raises(WorkersError, match="job dies: its worker ended 2 times"):
        list(in_order(do, [Deed("dies")], workers))


def test_an_error_comes_in_its_place_as_it_was_raised(workers: Workers) -> None:
    known, raised = until(TraceError, in_order(do, [Deed("0"), Deed("fails"), Deed("1")], workers))
    assert [what for what, _ in known] == ["0"]
    assert str(raised) == "cannot be read"


def test_without_a_scheduler(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    project(tmp_path, "a")
    monkeypatch.setattr(cluster, "_CONNECT_S", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x", "tcp://127.0.0.1"):
        assert main(["replay", str(tmp_path / "a.jsonl"), "--dask", address]) == 4
        said = capsys.readouterr().err
        assert f"no Dask scheduler answers at {address}" in said
        assert "dask scheduler" in said


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    imports = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "distributed":
            raise ModuleNotFoundError("No module named 'distributed'", name=name)
        return imports(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(WorkersError, match="needs the package distributed") as raised:
        list(in_order(pid, [1], Workers(cluster="tcp://127.0.0.1:9")))
    assert "flowkit-voice[dask]" in raised.value.hint


def test_another_flowkit_on_the_workers(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_version", lambda: "0.2.0 (abcdef00)")
    with pytest.raises(WorkersError, match=r"has flowkit .*, and the command is 0\.2\.0 \(abcdef00\)"):
        list(in_order(pid, [1], workers))


def test_another_python_on_the_workers(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    asks = Client.get_versions

    def older(self: Client, **given: Any) -> Any:
        found = asks(self, **given)
        found["client"]["packages"]["python"] = "3.10.1"
        return found

    monkeypatch.setattr(Client, "get_versions", older)
    with pytest.raises(WorkersError, match=r"the scheduler has python 3\.\S+, and this machine 3\.10\.1"):
        list(in_order(pid, [1], workers))


def test_a_folder_that_the_workers_lack(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getcwd", lambda: "/only/here")
    with pytest.raises(WorkersError, match="has no folder /only/here"):
        list(in_order(pid, [1], workers))


def test_a_cluster_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "_LOOK_S", 1)
    monkeypatch.setattr(cluster, "_WITHOUT_S", 1)
    with (
        LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=":0") as empty,
        pytest.raises(WorkersError, match="no workers"),
    ):
        list(in_order(pid, [1], Workers(cluster=empty.scheduler_address)))
