"""Where chunks may be taken besides this machine's own pool, and what is refused."""

from __future__ import annotations

import sys
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.sources import small, write
from tests.many.test_chunk import in_one_piece, plan, timeless
from tui_elbo.many import apart
from tui_elbo.many.executors import elsewhere
from tui_elbo.many.folder import SweepFolder
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import grid
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
