"""A sweep in a folder: what is kept, what goes on, and what is refused. Chunks are taken here."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.engine.sources import small, write
from tests.many.test_chunk import in_one_piece, plan, timeless
from tui_elbo.engine import evaluation
from tui_elbo.many import chunk
from tui_elbo.many.check import check_settings
from tui_elbo.many.chunk import run_chunk
from tui_elbo.many.executors import APART_ERRORS, Workers
from tui_elbo.many.folder import EndedRun, Plan, SweepFolder
from tui_elbo.many.requests import Request, ask, waiting
from tui_elbo.many.sweep import Progress, Sweep
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import RunSpec, grid, line_of, parse_choice, parse_runs
from tui_elbo.runfile.database import read


class Inline(Executor):
    """Takes each chunk at once in this process, unless its worker is to die."""

    def __init__(self, dies: Callable[[], bool] = lambda: False) -> None:
        self._dies = dies
        self._broken = False

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self._broken:
            raise BrokenExecutor("the pool is broken")
        future: Future[Any] = Future()
        if self._dies():
            self._broken = True
            chunk._warm.key = ""
            future.set_exception(BrokenExecutor("a worker died"))
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def inline(dies: Callable[[], bool] = lambda: False, count: int = 2) -> Workers:
    return Workers(lambda: Inline(dies), run_chunk, count, lambda _: None)


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(chunk, "LOOK_STEPS", 3)
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: unevaluated("not asked for"))
    return str(write(tmp_path, small()))


@pytest.fixture(autouse=True)
def _nothing_warm(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No session of another test is gone on with; and no module is left over that would matter."""
    monkeypatch.setattr("tui_elbo.engine.scenario.release", lambda: None)
    chunk._warm.key = ""
    yield
    chunk._warm.key = ""


def runs() -> tuple[RunSpec, ...]:
    return grid((0, 1), [parse_choice("lr=0.01,0.1")], [])


def swept(
    folder: Path,
    of: Plan,
    workers: Workers | None = None,
    report: Callable[[Progress], object] = lambda _: None,
    seconds: float = 0.0,
) -> list[EndedRun]:
    held = SweepFolder(folder, of)
    try:
        return Sweep(held, workers or inline(), seconds).run(report)
    finally:
        held.close()


def files(folder: Path, of: Plan) -> dict[str, object]:
    return {spec.name: timeless(read(folder / f"{spec.name}.run").batches) for spec in of.runs}


def test_each_run_is_the_one_that_run_saves(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs())
    found = swept(tmp_path / "out", of)
    assert [run.spec for run in found] == list(of.runs)
    for spec in of.runs:
        assert files(tmp_path / "out", of)[spec.name] == timeless(in_one_piece(scenario, spec))
    saved = read(tmp_path / "out" / "lr-0.1_seed-1.run").settings
    assert (saved.seed, saved.step, str(saved.tunings[0][1])) == (1, 12, "lr 0.1")


def test_workers_that_die_cost_their_chunks_alone(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs())
    swept(tmp_path / "plain", of)
    deaths = iter([False, True, False, True, True, False, False, True])
    lost: list[int] = []
    workers = inline(lambda: next(deaths, False))
    found = swept(tmp_path / "out", of, workers, lambda progress: lost.append(progress.lost))
    assert lost[-1] >= 4
    assert {run.ending.kind for run in found} == {"steps"}
    assert files(tmp_path / "out", of) == files(tmp_path / "plain", of)


def test_a_run_that_kills_its_worker_is_kept_as_far_as_it_came(
    scenario: str, tmp_path: Path
) -> None:
    of = plan(scenario, runs()[:1])
    deaths = iter([False, False])
    (found,) = swept(tmp_path / "out", of, inline(lambda: next(deaths, True)))
    assert found.ending.kind == "failed"
    assert "its worker ended 4 times in the chunk after step" in found.ending.note
    assert read(tmp_path / "out" / f"{found.spec.name}.run").settings.step == found.step > 0


def test_a_place_that_is_gone_ends_the_sweep_and_no_run(scenario: str, tmp_path: Path) -> None:
    """First it lets go of chunks, which is not the runs' fault, and then of everything."""
    of = plan(scenario, runs())
    swept(tmp_path / "plain", of)
    chunks, seen = iter(range(100)), []

    class LetsGo(Inline):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            if next(chunks) < 6:
                return super().submit(fn, *args, **kwargs)
            future: Future[Any] = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    def trouble() -> str:
        if next(chunks) > 40:
            raise UsageError("the cluster is gone")
        return "it is lost"

    workers = replace(inline(), make=LetsGo, trouble=trouble)
    with pytest.raises(UsageError, match="the cluster is gone"):
        swept(tmp_path / "out", of, workers, report=seen.append)
    assert seen[-1].notice == "it is lost"
    assert seen[-1].lost > 10
    held = SweepFolder(tmp_path / "out", of)
    assert [held.ended(spec) for spec in of.runs] == [None] * 4
    assert sum(held.so_far(spec).step for spec in of.runs) == seen[-1].steps > 0
    held.close()
    chunk._warm.key = ""
    swept(tmp_path / "out", of)
    assert files(tmp_path / "out", of) == files(tmp_path / "plain", of)


def test_a_place_that_cannot_take_chunks_ends_the_sweep_and_no_run(
    scenario: str, tmp_path: Path
) -> None:
    class Refuses(Inline):
        def submit(self, *_: Any, **__: Any) -> Future[Any]:
            future: Future[Any] = Future()
            future.set_exception(ModuleNotFoundError("No module named 'tui_elbo'"))
            return future

    of = plan(scenario, runs())
    workers = replace(inline(), make=Refuses, run_errors=APART_ERRORS)
    with pytest.raises(UsageError, match=r"no chunk is taken there: .*No module named"):
        swept(tmp_path / "out", of, workers)
    assert not [*(tmp_path / "out" / ".sweep" / "ended").iterdir()]


def test_a_module_that_a_worker_lacks_ends_the_sweep_and_no_run(tmp_path: Path) -> None:
    """Those beside the scenario are there on this machine; a cluster's may not see them."""
    of = plan(str(write(tmp_path, small(head="import beside_it\n"))), runs()[:1])
    with pytest.raises(UsageError, match="cannot load the scenario: No module named 'beside_it'"):
        swept(tmp_path / "out", of)
    assert not [*(tmp_path / "out" / ".sweep" / "ended").iterdir()]
    (tmp_path / "beside_it.py").write_text("")
    assert [run.ending.kind for run in swept(tmp_path / "out", of)] == ["steps"]


def test_an_interrupted_sweep_goes_on_where_it_was(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs())
    swept(tmp_path / "plain", of)
    held = SweepFolder(tmp_path / "out", of)
    sweep = Sweep(held, inline(), 0.0)

    def report(progress: Progress) -> None:
        sweep.stopping = progress.steps > 14

    sweep.run(report)
    begun = sum(held.so_far(spec).step for spec in of.runs if held.ended(spec) is None)
    held.close()
    assert begun > 0
    chunk._warm.key = ""
    first: list[int] = []
    found = swept(tmp_path / "out", of, report=lambda progress: first.append(progress.steps))
    assert first[0] > 14
    assert len(found) == 4
    assert files(tmp_path / "out", of) == files(tmp_path / "plain", of)


def test_what_is_finished_is_not_run_again(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs()[:2])
    swept(tmp_path / "out", of)

    def make() -> Executor:
        raise AssertionError("nothing is left to be run")

    found = swept(tmp_path / "out", of, Workers(make, run_chunk, 2, lambda _: None))
    assert [run.step for run in found] == [12, 12]


def test_more_steps_continue_the_runs(scenario: str, tmp_path: Path) -> None:
    """Also if the sweep was broken off in between, and taken up with the steps of before."""
    short, long = (plan(scenario, runs()[:2], steps=steps) for steps in (6, 9))
    swept(tmp_path / "out", short, seconds=60.0)
    SweepFolder(tmp_path / "out", long).close()
    (tmp_path / "out" / ".sweep" / "plan.json").write_bytes(msgspec.json.encode(short))
    assert [run.step for run in swept(tmp_path / "out", short, seconds=60.0)] == [6, 6]
    chunk._warm.key = ""
    found = swept(tmp_path / "out", long, seconds=60.0)
    assert [(run.step, run.ending.kind) for run in found] == [(9, "steps")] * 2
    for spec in long.runs:
        expected = timeless(in_one_piece(scenario, spec, steps=9))
        assert files(tmp_path / "out", long)[spec.name] == expected


def test_two_sweeps_do_not_share_a_folder(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs())
    held = SweepFolder(tmp_path / "out", of)
    with pytest.raises(UsageError, match="another sweep is under way"):
        SweepFolder(tmp_path / "out", of)
    held.close()
    for other, why in (
        (plan(scenario, grid((7,), [], [])), "its runs are others"),
        (plan(scenario, runs(), steps=11), "its runs go elsewhere"),
        (plan(scenario, runs(), steps=13, converged=True), "its runs go elsewhere"),
        (plan("no_theta", runs()), "of another scenario"),
    ):
        with pytest.raises(UsageError, match=why):
            SweepFolder(tmp_path / "out", other)
    SweepFolder(tmp_path / "out", of).close()


def test_files_of_others_are_left_alone(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs()[:1])
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "lr-0.01_seed-0.run").write_text("mine too")
    with pytest.raises(UsageError, match="is there already, and is left alone"):
        SweepFolder(folder, of)
    assert (folder / "lr-0.01_seed-0.run").read_text() == "mine too"
    assert not (folder / ".sweep").exists()
    (folder / "lr-0.01_seed-0.run").unlink()
    swept(folder, of)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_file_is_no_folder(scenario: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(UsageError, match="cannot be kept there"):
        SweepFolder(tmp_path / "out", plan(scenario, runs()))


@pytest.mark.filterwarnings("ignore:Encountered NaN")
def test_a_run_that_is_not_finite_is_kept_and_the_others_go_on(tmp_path: Path) -> None:
    model = "pyro.factor('bad', -pyro.param('loc').neg().log() * 1e-9)"
    guide = "pyro.param('loc', torch.tensor(-0.25))"
    text = small(model=model, guide=guide, head="import pyro\npyro.enable_validation(False)\n")
    of = plan(str(write(tmp_path, text)), grid((0,), [parse_choice("lr=0.0001,0.1")], []))
    good, bad = swept(tmp_path / "out", of)
    assert (good.ending.kind, good.step) == ("steps", 12)
    assert bad.ending.kind == "not finite"
    assert 0 < bad.step < 12
    assert read(tmp_path / "out" / f"{bad.spec.name}.run").settings.step == bad.step


def test_a_step_that_raises_ends_its_run_alone(tmp_path: Path) -> None:
    model = "assert pyro.param('loc') < 0, 'too far'"
    guide = "pyro.param('loc', torch.tensor(-0.25))"
    path = str(write(tmp_path, small(model=model, guide=guide)))
    of = plan(path, grid((0,), [parse_choice("lr=0.0001,0.1")], []))
    good, bad = swept(tmp_path / "out", of)
    assert (good.ending.kind, good.step) == ("steps", 12)
    assert bad.ending.kind == "failed"
    assert "too far" in bad.ending.note
    assert bad.step == len(read(tmp_path / "out" / f"{bad.spec.name}.run").batches[0].values[0])


def test_a_full_disk_ends_the_sweep_and_nothing_finished_is_lost(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = plan(scenario, runs())
    swept(tmp_path / "plain", of)
    full = iter([False] * 5 + [True] * 100)

    def fsync(number: int) -> None:
        if next(full):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        with pytest.raises(UsageError, match="No space left") as raised:
            swept(tmp_path / "out", of)
    assert "the same command goes on from it" in raised.value.hint
    assert not [*(tmp_path / "out").rglob("*.writing")]
    swept(tmp_path / "out", of)
    assert files(tmp_path / "out", of) == files(tmp_path / "plain", of)


def test_a_damaged_plan_is_refused(scenario: str, tmp_path: Path) -> None:
    of = plan(scenario, runs())
    SweepFolder(tmp_path / "out", of).close()
    (tmp_path / "out" / ".sweep" / "plan.json").write_text("{")
    with pytest.raises(UsageError, match="is not whole"):
        SweepFolder(tmp_path / "out", of)
    newer = msgspec.structs.replace(of, format=99)
    (tmp_path / "out" / ".sweep" / "plan.json").write_bytes(msgspec.json.encode(newer))
    with pytest.raises(UsageError, match="another elbo-tui's"):
        SweepFolder(tmp_path / "out", of)


def asked(
    scenario: str, folder: Path, *requests: tuple[int, Request], of: Plan | None = None
) -> list[EndedRun]:
    """A sweep that is asked for something once so many steps have been taken."""
    due = list(requests)

    def report(progress: Progress) -> None:
        while due and progress.steps >= due[0][0]:
            ask(folder, due.pop(0)[1])

    found = swept(folder, of or plan(scenario, runs()), report=report)
    assert not due
    return found


def test_a_run_is_stopped_and_goes_on_to_the_same_numbers(scenario: str, tmp_path: Path) -> None:
    folder, of = tmp_path / "out", plan(scenario, runs())
    swept(tmp_path / "plain", of)
    name = of.runs[0].name
    found = asked(scenario, folder, (4, Request("stop", (name,))))
    assert [run.ending.kind for run in found] == ["by hand", "steps", "steps", "steps"]
    assert 0 < found[0].step < 12
    assert read(folder / f"{name}.run").settings.step == found[0].step
    ask(folder, Request("resume", (name,)))
    assert [run.ending.kind for run in swept(folder, of)] == ["steps"] * 4
    assert files(folder, of) == files(tmp_path / "plain", of)
    assert not waiting(folder)


def test_a_run_is_taken_again_from_its_first_step(scenario: str, tmp_path: Path) -> None:
    folder, of = tmp_path / "out", plan(scenario, runs())
    swept(tmp_path / "plain", of)
    again = [(steps, Request("restart", (spec.name,))) for steps, spec in ((6, of.runs[0]),)]
    asked(scenario, folder, *again)
    ask(folder, Request("restart", (of.runs[1].name, "no such run")))
    taken = []
    swept(folder, of, report=lambda progress: taken.append(progress.steps))
    assert taken[0] < 48 == taken[-1]
    assert files(folder, of) == files(tmp_path / "plain", of)


def test_runs_are_added(scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(*args: Any) -> None:
        check_settings(*args)
        chunk._warm.key = ""  # A sweep's workers are other processes than the one that checks.

    monkeypatch.setattr("tui_elbo.many.sweep.check_settings", check)
    folder, of = tmp_path / "out", plan(scenario, runs()[:2])
    more = parse_runs("lr=0.1,0.01 seeds 0:2")
    found = asked(scenario, folder, (6, Request("add", added=more)), of=of)
    assert {run.spec.name for run in found} == {spec.name for spec in runs()}
    swept(tmp_path / "plain", plan(scenario, runs()))
    assert files(folder, plan(scenario, runs())) == files(
        tmp_path / "plain", plan(scenario, runs())
    )
    # The command that began it goes on with all of them, and one with more runs adds these.
    assert len(swept(folder, of)) == 4
    wider = plan(scenario, grid((0, 1, 2), [parse_choice("lr=0.01,0.1")], []))
    assert len(swept(folder, wider)) == 6
    notices: list[str] = []
    ask(folder, Request("restart", (of.runs[0].name,)))
    ask(folder, Request("add", added=parse_runs("nonsense=3")))
    assert len(swept(folder, of, report=lambda progress: notices.append(progress.notice))) == 6
    assert "nonsense" in notices[-1]


def test_a_line_of_settings_and_back() -> None:
    for spec in runs():
        assert parse_runs(line_of(spec.record)) == (spec,)
    assert [run.name for run in parse_runs("seed 8:10 guide=AutoNormal")] == [
        "guide-AutoNormal_seed-8",
        "guide-AutoNormal_seed-9",
    ]
    with pytest.raises(UsageError):
        parse_runs("lr 0.1")


@pytest.mark.parametrize(
    ("theirs", "why"),
    [
        ({"torch": "1.0"}, r"a worker has torch 1.0 \(here "),
        ({"elbo-tui": "9.9", "pyro-ppl": "0.1"}, r"elbo-tui 9.9 .*, pyro-ppl 0.1 \(here"),
    ],
)
def test_workers_with_other_versions_are_refused(
    scenario: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    theirs: dict[str, str],
    why: str,
) -> None:
    """Their tasks and results may be of another shape: nothing but the versions is read."""

    def work(data: bytes) -> bytes:
        ours = chunk.versions()
        with monkeypatch.context() as patched:
            patched.setattr(chunk, "versions", lambda: ours | theirs)
            patched.setattr(chunk, "take", None)
            return run_chunk(data)

    of = plan(scenario, runs()[:1])
    workers = Workers(Inline, work, 1, lambda _: None)
    with pytest.raises(UsageError, match=why):
        swept(tmp_path / "out", of, workers)
    folder = SweepFolder(tmp_path / "out", of)
    assert folder.chunks(of.runs[0]) == []
    folder.close()
