"""What a sweep loses when its workers, its scheduler or the sweep itself are killed at random.

    python -m tests.many.kills DIR --kills 30               # the local pool of processes
    python -m tests.many.kills DIR --kills 30 --dask        # a Dask LocalCluster of 4 workers

Prints how many kills there were, and whether every run is that of an undisturbed sweep to the bit.
Takes minutes: each kill costs a worker that imports torch again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.engine.sources import small, write
from tests.many.test_chunk import plan, timeless
from tui_elbo.many.executors import Workers, elsewhere, local
from tui_elbo.many.folder import Plan, SweepFolder
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


@contextmanager
def cluster() -> Iterator[tuple[str, Callable[[], list[int]]]]:
    """A Dask cluster of 4 workers with two threads each, and how to find its workers."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=4, threads_per_worker=2, processes=True, dashboard_address=None
    ) as made:

        def workers() -> list[int]:
            nannies = made.workers.values()
            return [one.pid for one in nannies if getattr(one, "pid", None)]

        yield made.scheduler_address, workers


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

    if not chosen.dask:
        disturbed(local(2), pool)
        return 0
    with cluster() as (address, victims):
        disturbed(elsewhere(f"dask:{address}", 4), victims)
    return 0


if __name__ == "__main__":
    sys.exit(main())
