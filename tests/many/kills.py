"""What a sweep loses when its workers, its scheduler or the sweep itself are killed at random.

    python -m tests.many.kills DIR --kills 30               # the local pool of processes
    python -m tests.many.kills DIR --kills 30 --dask        # a Dask LocalCluster of 4 workers

Prints how many kills there were, and whether every run is that of an undisturbed sweep to the bit.
Then the sweep itself is killed, and on Dask the scheduler after it; each time the same command goes
on. Takes minutes: each kill costs a worker that imports torch again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.engine.sources import small, write
from tests.many.test_chunk import plan, timeless
from tui_elbo.many.executors import Workers, elsewhere, local
from tui_elbo.many.folder import Plan, SweepFolder, chunks_of, ended_run
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.grid import grid, parse_choice
from tui_elbo.model.workspace import Progress
from tui_elbo.runfile.database import read

SECONDS = 0.4
"""Of a chunk."""


def undisturbed(folder: Path, of: Plan) -> None:
    """The sweep with nobody killed."""
    held = SweepFolder(folder, of)
    Sweep(held, local(2), 60.0).run()
    held.close()


def same(one: Path, other: Path, of: Plan) -> bool:
    """Whether all runs of both folders are equal, but for the seconds."""
    return all(
        timeless(read(one / f"{spec.name}.run").batches)
        == timeless(read(other / f"{spec.name}.run").batches)
        for spec in of.runs
    )


class Killer:
    """Kills something at random, each time after the sweep has come further.

    Args:
        victims: gives the processes that may be killed.
        kills: how many.
        rng: chooses.
    """

    def __init__(self, victims: Callable[[], list[int]], kills: int, rng: random.Random) -> None:
        self.left, self.done, self._victims, self._rng = kills, 0, victims, rng
        self._steps = -1
        self.steps: list[int] = []

    def __call__(self, progress: Progress) -> None:
        """Kill one perhaps."""
        assert not self.steps or progress.steps >= self.steps[-1], "a finished chunk was lost"
        self.steps.append(progress.steps)
        if progress.steps <= self._steps or not self.left or self._rng.random() < 0.3:
            return
        time.sleep(self._rng.random() * SECONDS)
        if victims := self._victims():
            with suppress(ProcessLookupError):
                os.kill(self._rng.choice(victims), signal.SIGKILL)
                self._steps, self.left, self.done = progress.steps, self.left - 1, self.done + 1


def pool() -> list[int]:
    """The workers of the local pool."""
    return [child.pid for child in multiprocessing.active_children() if child.pid]


CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(
        n_workers=int(sys.argv[1]), threads_per_worker=2, processes=True, dashboard_address=None
    ) as made:
        print(made.scheduler_address, flush=True)
        sys.stdin.read()
"""


class Cluster:
    """A Dask cluster of workers with two threads each, whose scheduler is in another process.

    Args:
        folder: for its program.
        workers: how many.
    """

    def __init__(self, folder: Path, workers: int = 4) -> None:
        program = folder / "cluster.py"
        program.write_text(CLUSTER)
        with (folder / "cluster.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(program), str(workers)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def workers(self) -> list[int]:
        """The processes of its workers."""
        import psutil

        children = psutil.Process(self._process.pid).children()
        return [one.pid for one in children if "spawn_main" in " ".join(one.cmdline())]

    def kill_scheduler(self) -> None:
        """Kill the process that the scheduler is in."""
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """Let it end."""
        self._process.communicate("")


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster that ends with the block."""
    made = Cluster(folder)
    try:
        yield made
    finally:
        made.close()


def kept(folder: Path, of: Plan) -> int:
    """How many steps of the sweep are on the disk."""
    total = 0
    for spec in of.runs:
        ended = ended_run(folder, spec)
        batches = [batch for taken in chunks_of(folder, spec) for batch in taken.batches]
        total += sum(batch.steps for batch in batches) if ended is None else ended.step
    return total


def started(folder: Path, on: list[str]) -> subprocess.Popen[str]:
    """The command that goes on with a sweep."""
    words = ["sweep", "--out", str(folder), "--chunk-seconds", str(SECONDS), *on]
    command = [sys.executable, "-m", "tui_elbo.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def begun(folder: Path, of: Plan, on: list[str], more: int) -> tuple[subprocess.Popen[str], int]:
    """The same, once it has taken some steps more; and how many there are then."""
    before = kept(folder, of)
    sweep = started(folder, on)
    while sweep.poll() is None and kept(folder, of) < before + more:
        time.sleep(0.1)
    return sweep, kept(folder, of)


def interrupted(folder: Path, of: Plan, work: Path, dask: bool) -> None:
    """Kill the sweep, then the scheduler, then let it come to its end; print what is left each."""
    SweepFolder(folder, of).close()
    more = sum(of.goal.steps or 0 for _ in of.runs) // 4
    made = Cluster(work) if dask else None

    def on() -> list[str]:
        return [] if made is None else ["--on", f"dask:{made.address}", "--jobs", "4"]

    sweep, steps = begun(folder, of, on(), more)
    sweep.kill()
    sweep.communicate()
    print(f"the sweep was killed at {steps} steps; on the disk: {kept(folder, of)}", flush=True)
    if made is not None:
        sweep, steps = begun(folder, of, on(), more)
        made.kill_scheduler()
        _, said = sweep.communicate()
        ended = sum(ended_run(folder, spec) is not None for spec in of.runs)
        left = kept(folder, of)
        print(f"the scheduler was killed at {steps} steps; on the disk: {left}", flush=True)
        print(f"  exit code {sweep.returncode}, ended: {ended} of {len(of.runs)} runs", flush=True)
        print("  " + "\n  ".join(said.strip().splitlines()[-3:]), flush=True)
        made = Cluster(work)
    sweep = started(folder, on())
    _, said = sweep.communicate()
    if made is not None:
        made.close()
    kinds = {one.ending.kind for spec in of.runs if (one := ended_run(folder, spec))}
    equal = same(work / "plain", folder, of)
    print(f"then: exit code {sweep.returncode}, runs ended: {kinds}, equal bit for bit: {equal}")


def main() -> int:
    """Print what is lost."""
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("--kills", type=int, default=30)
    options.add_argument("--steps", type=int, default=3000)
    options.add_argument("--runs", type=int, default=4)
    options.add_argument("--dask", action="store_true")
    chosen = options.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    path = str(write(chosen.folder, small()))
    of = plan(path, grid(range(chosen.runs), [parse_choice("lr=0.01")], []), steps=chosen.steps)
    undisturbed(chosen.folder / "plain", of)

    def disturbed(workers: Workers, victims: Callable[[], list[int]]) -> None:
        killer = Killer(victims, chosen.kills, random.Random(0))
        held = SweepFolder(chosen.folder / "killed", of)
        found = Sweep(held, workers, SECONDS).run(killer)
        held.close()
        ended = sorted({run.ending.kind for run in found})
        equal = same(chosen.folder / "plain", chosen.folder / "killed", of)
        print(f"{killer.done} kills, runs ended: {ended}, equal bit for bit: {equal}", flush=True)

    if chosen.dask:
        with cluster(chosen.folder) as made:
            disturbed(elsewhere(f"dask:{made.address}", 4), made.workers)
    else:
        disturbed(local(2), pool)
    interrupted(chosen.folder / "interrupted", of, chosen.folder, chosen.dask)
    return 0


if __name__ == "__main__":
    sys.exit(main())
