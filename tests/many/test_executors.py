"""Where chunks may be taken besides this machine's own pool, and what is refused."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.engine.sources import small, write
from tests.many.kills import Cluster, begun, kept, started
from tests.many.test_chunk import in_one_piece, plan, timeless
from tui_elbo.many import apart, executors
from tui_elbo.many.chunk import Header
from tui_elbo.many.executors import elsewhere
from tui_elbo.many.folder import SweepFolder
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import grid
from tui_elbo.protocol.codec import encode
from tui_elbo.runfile.database import read


def threads() -> Executor:
    """Workers with several threads, as those of a Dask cluster have."""
    return ThreadPoolExecutor(2)


def none() -> str:
    return "no executor"


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("somewhere", "names no executor"),
        ("no.such.module:f", "No module named"),
        (f"{__name__}:nothing", "nothing"),
    ],
)
def test_what_is_no_place_is_refused(place: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        elsewhere(place, None)


def test_what_is_no_executor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "places", sys.modules[__name__])
    with pytest.raises(UsageError, match="it returned a str, and no Executor"):
        elsewhere("places:none", None).make()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match="is not installed") as raised:
        elsewhere("dask:tcp://localhost:1", None)
    assert "elbo-tui[dask]" in raised.value.hint


def test_what_a_cluster_has_trouble_with_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "DASK_LOOK_EVERY", 0.0)
    workers = {"tcp://one": 2}
    scheduler = SimpleNamespace(ncores=lambda: workers)
    client = SimpleNamespace(status="running", scheduler=scheduler, sync=lambda call, **_: call())
    trouble = executors._DaskTrouble(client, "tcp://here:1")
    assert trouble() == ""
    workers.clear()
    assert trouble() == "the cluster has no workers: waiting for some"
    client.status = "connecting"
    assert "the connection to the cluster's scheduler is lost" in trouble()
    client.status = "closed"
    with pytest.raises(UsageError, match="the scheduler of the cluster at tcp://here:1 is gone"):
        trouble()


def test_a_process_that_has_nothing_to_do_is_kept_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()

    class Fake(apart._Process):
        def __init__(self) -> None:
            self.timer = threading.Timer(0.0, lambda: None)

        def run(self, data: bytes) -> bytes:
            return data

        def end(self) -> None:
            ended.set()

    monkeypatch.setattr(apart, "_Process", Fake)
    data = encode(Header("a run"))
    assert apart.run_apart(data) == data
    kept = apart._idle[0]
    monkeypatch.setattr(apart, "IDLE_SECONDS", 0.0)
    assert apart.run_apart(data) == data
    assert ended.wait(60.0)
    assert kept not in apart._idle


@pytest.mark.slow
def test_the_death_of_a_scheduler_ends_the_sweep_and_no_run(tmp_path: Path) -> None:
    """With the command itself and a cluster of processes; another cluster goes on with it."""
    pytest.importorskip("distributed", reason="takes the extra dask")
    of = plan(str(write(tmp_path, small())), grid((0, 1), [], []), steps=400)
    held = SweepFolder(tmp_path / "out", of)
    held.close()
    cluster = Cluster(tmp_path, workers=1)
    sweep, steps = begun(tmp_path / "out", of, ["--on", f"dask:{cluster.address}"], more=1)
    cluster.kill_scheduler()
    _, said = sweep.communicate()
    assert sweep.returncode == 2
    assert f"the scheduler of the cluster at {cluster.address} is gone" in said
    assert [held.ended(spec) for spec in of.runs] == [None, None]
    assert kept(tmp_path / "out", of) >= steps > 0
    cluster = Cluster(tmp_path, workers=1)
    sweep = started(tmp_path / "out", ["--on", f"dask:{cluster.address}"])
    sweep.communicate()
    cluster.close()
    assert sweep.returncode == 0
    for spec in of.runs:
        saved = read(tmp_path / "out" / f"{spec.name}.run").batches
        expected = in_one_piece(str(tmp_path / "scenario.py"), spec, steps=400)
        assert timeless(saved) == timeless(expected)


@pytest.mark.slow
def test_threads_of_one_worker_have_a_process_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs in two threads are those of one process each; one that dies is made anew."""
    monkeypatch.setitem(sys.modules, "places", sys.modules[__name__])
    path = str(write(tmp_path, small()))
    of = plan(path, grid((0, 1), [], []), steps=40)
    folder = SweepFolder(tmp_path / "out", of)
    killed: list[int] = []

    def report(_: object) -> None:
        if not killed and apart._idle:
            process = apart._idle[0]._process
            process.kill()
            killed.append(process.pid)

    found = Sweep(folder, elsewhere("places:threads", 2), 0.001).run(report)
    folder.close()
    assert len(killed) == 1
    assert [run.ending.kind for run in found] == ["steps", "steps"]
    for spec in of.runs:
        saved = read(tmp_path / "out" / f"{spec.name}.run").batches
        assert timeless(saved) == timeless(in_one_piece(path, spec, steps=40))
    while apart._idle:
        apart._idle.pop().end()
