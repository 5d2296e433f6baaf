"""`elbo-tui sweep` in processes of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command import PATIENCE, ran, started, untimed
from tui_elbo.runfile.database import read

GRID = ("sweep", "no_theta", "--seeds", "0:2", "--set", "lr=0.02,0.05")


def test_a_dry_run_lists_the_grid_and_does_nothing(tmp_path: Path) -> None:
    code, out, err = ran(*GRID, "--dry-run", folder=tmp_path)
    assert code == 0
    assert out.split() == [f"lr-{lr}_seed-{s}.run" for lr in (0.02, 0.05) for s in (0, 1)]
    assert err == "elbo-tui: 4 runs\n"
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("no_theta", "--set", "lr=0.1"), "needs a folder"),
        (("no_thetta", "--out", "x"), "did you mean no_theta?"),
        (("no_theta", "--until", "elbo > 1", "--out", "x"), "runs until converged"),
        (("no_theta", "--set", "rate=1", "--out", "x"), "has no setting 'rate'"),
    ],
)
def test_what_cannot_be_swept_ends_with_2(words: tuple[str, ...], why: str, tmp_path: Path) -> None:
    code, out, err = ran("sweep", *words, folder=tmp_path)
    assert (code, out) == (2, "")
    assert why in err


def test_what_does_not_fit_is_refused_before_anything_starts(tmp_path: Path) -> None:
    words = ("--set", "estimator=Trace_ELBO,TraceNone_ELBO", "--out", "out")
    code, out, err = ran("sweep", "no_theta", *words, folder=tmp_path)
    assert (code, out) == (2, "")
    assert "TraceNone_ELBO is no estimator that can be chosen here" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_runs_are_those_of_run_and_are_compared(tmp_path: Path) -> None:
    words = (*GRID, "--steps", "300", "--out", "out", "--json")
    code, out, _ = ran(*words, folder=tmp_path)
    assert code == 0
    lines = sorted(map(json.loads, out.splitlines()), key=lambda line: line["file"])
    assert [line["run"] for line in lines] == [
        {"seed": s, "lr": lr} for lr in (0.02, 0.05) for s in (0, 1)
    ]
    for line in lines:
        assert line["step"] == 300
        assert line["elbo"]["mcse"] > 0
        assert (tmp_path / line["file"]).is_file()
    keys = ("--script", "t(lr 0.05) 300n", "--seed", "1", "--json", "--every", "300")
    _, plain, _ = ran("run", "no_theta", *keys, folder=tmp_path)
    assert untimed(plain)[-1]["loss"] == lines[3]["loss"]
    code, out, _ = ran(*words[:-1], folder=tmp_path)
    assert code == 0
    assert "lr 0.05 is" in out
    assert "nats better than lr 0.02" in out
    assert len((tmp_path / "out" / "runs.csv").read_text().splitlines()) == 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the children are found in /proc")
def test_workers_that_are_killed_change_no_bit(tmp_path: Path) -> None:
    """The runs of a pool whose processes are killed at random are those of one that is left be."""
    words = ("sweep", "no_theta", "--seeds", "0:2", "--steps", "400", "--chunk-seconds", "0.1")
    process = started(*words, "--out", "killed", folder=tmp_path)
    killed = 0
    while process.poll() is None and killed < 2:
        chunks = [*(tmp_path / "killed").glob(".sweep/chunks/*/*.chunk")]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [pid for pid in children if b"spawn_main" in cmdline(pid)]
        if workers and len(chunks) > 2 * killed:
            os.kill(int(workers[0]), signal.SIGKILL)
            killed += 1
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    process.communicate(timeout=2 * PATIENCE)
    assert (process.returncode, killed) == (0, 2)
    assert ran(*words, "--out", "plain", folder=tmp_path)[0] == 0
    for name in ("seed-0", "seed-1"):
        (one,), (other,) = (
            read(tmp_path / folder / f"{name}.run").batches for folder in ("killed", "plain")
        )
        rows = [row for column, row in one.layout.index.items() if column.field != "seconds"]
        assert one.values[rows].tobytes() == other.values[rows].tobytes()


def cmdline(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
