"""What is read of a folder of runs, and read again as a sweep goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.engine.sources import small, write
from tests.many.test_chunk import plan
from tests.many.test_sweep import inline, runs
from tui_elbo.engine import evaluation
from tui_elbo.many import chunk
from tui_elbo.many.folder import SweepFolder, goes_on
from tui_elbo.many.folder_reader import ELBO, FolderReader
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.comparison import unevaluated
from tui_elbo.model.errors import UsageError
from tui_elbo.model.grid import grid, parse_choice
from tui_elbo.model.reduction import STRETCHES, Reduction
from tui_elbo.model.workspace import FolderContent
from tui_elbo.runfile.database import read


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk, "LOOK_STEPS", 3)
    monkeypatch.setattr(evaluation, "evaluate", lambda *_: unevaluated("not asked for"))
    monkeypatch.setattr("tui_elbo.engine.scenario.release", lambda: None)
    monkeypatch.setattr(chunk, "_warm", chunk._Warm())


def test_a_sweep_is_read_as_it_goes_on(tmp_path: Path) -> None:
    of = plan(str(write(tmp_path, small())), runs()[:2])
    folder = tmp_path / "out"
    held = SweepFolder(folder, of)
    reader = FolderReader(folder)
    seen: list[FolderContent] = []
    steps: list[list[int]] = []

    def report(_: object) -> None:
        content = reader.read()
        if content is not None:
            seen.append(content)
            steps.append([held.so_far(spec).step for spec in of.runs])
            assert reader.read() is None
            for run, step in zip(content.runs, steps[-1], strict=True):
                if step:
                    assert read(Path(reader.file_of(run))).settings.step == step

    assert goes_on(folder)
    Sweep(held, inline(count=1), 0.0).run(report)
    held.close()
    reader.close()
    assert not goes_on(folder)
    report(None)
    first, last = seen[0], seen[-1]
    assert first.live
    assert first.progress is not None
    assert [run.progress for run in first.runs] == ["running", "waiting"]
    assert [run.row.step for run in first.runs] == steps[0]
    assert steps[0][0] > 0 == steps[0][1]
    with pytest.raises(UsageError, match="it has taken no step yet"):
        FolderReader(folder).file_of(replace(last.runs[1], row=replace(last.runs[1].row, file="")))
    assert not last.live
    assert last.title == "scenario.py"
    assert last.steps == 12
    for run in last.runs:
        saved = read(folder / f"{run.name}.run")
        elbo = np.concatenate([batch.values[batch.layout.index[ELBO]] for batch in saved.batches])
        assert run.progress == "ended"
        assert (run.row.step, run.row.ended, run.row.verdict) == (12, "steps", "cannot tell")
        np.testing.assert_allclose(run.elbo.means, elbo)
    assert FolderReader(folder).read().runs[1].elbo.steps == 12
    longer = msgspec.structs.replace(of, goal=msgspec.structs.replace(of.goal, steps=20))
    SweepFolder(folder, longer).close()
    again = reader.read()
    assert [(run.progress, run.row.step) for run in again.runs] == [("left", 12), ("left", 12)]
    assert again.steps == 20


@pytest.mark.filterwarnings("ignore:Encountered NaN")
def test_a_run_that_is_not_finite_and_a_damaged_file_are_rows(tmp_path: Path) -> None:
    model = "pyro.factor('bad', -pyro.param('loc').neg().log() * 1e-9)"
    guide = "pyro.param('loc', torch.tensor(-0.25))"
    text = small(model=model, guide=guide, head="import pyro\npyro.enable_validation(False)\n")
    of = plan(str(write(tmp_path, text)), grid((0,), [parse_choice("lr=0.0001,0.1")], []))
    held = SweepFolder(tmp_path / "out", of)
    Sweep(held, inline(), 0.0).run()
    held.close()
    content = FolderReader(tmp_path / "out").read()
    good, bad = content.runs
    assert (good.row.ended, good.elbo.first_broken) == ("steps", 0)
    assert bad.row.ended == "not finite"
    assert bad.elbo.first_broken == bad.row.step < 12

    file = tmp_path / "out" / f"{good.name}.run"
    file.write_bytes(file.read_bytes()[:-1])
    good = FolderReader(tmp_path / "out").read().runs[0]
    assert "not whole" in good.row.note
    assert good.row.file == ""
    (tmp_path / "files").mkdir()
    file.rename(tmp_path / "files" / "one.run")
    (tmp_path / "out" / f"{bad.name}.run").rename(tmp_path / "files" / "two.run")
    (tmp_path / "files" / "notes.txt").write_text("mine")
    content = FolderReader(tmp_path / "files").read()
    one, two = content.runs
    assert (one.progress, one.row.file) == ("unreadable", "")
    assert "not whole" in one.row.note
    assert (two.progress, two.row.step) == ("ended", bad.row.step)
    assert (content.title, content.swept) == ("scenario.py", False)


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this folder is empty"):
        FolderReader(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"no sweep and no saved run in this folder \(1 other"):
        FolderReader(tmp_path)


def test_a_reduction_keeps_the_means_of_stretches() -> None:
    values = np.random.default_rng(0).normal(size=10_000)
    values[4321] = np.nan
    whole, parts = Reduction(), Reduction()
    whole.extend(values)
    for start in range(0, len(values), 777):
        parts.extend(values[start : start + 777])
    assert whole.width == 16
    assert len(whole.means) <= STRETCHES
    np.testing.assert_allclose(parts.means, whole.means, rtol=1e-9)
    expected = [np.nanmean(values[i : i + 16]) for i in range(0, len(values), 16)]
    np.testing.assert_allclose(whole.means, expected, rtol=1e-9)
    assert whole.first_broken == parts.first_broken == 4322
    means, broken = whole.over(20_000, 100)
    assert np.isnan(means[50:]).all()
    assert np.isfinite(means[:50]).all()
    assert np.flatnonzero(broken).tolist() == [21]
