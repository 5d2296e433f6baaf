"""How often the modes in which the runs of a sweep end are found right.

    python -m tests.many.modes_found DIR

Twenty sweeps of each kind, of runs with other seeds, until each run has converged: of `two_modes`
from both sides; of a mixture from its labels in a random order, which is one mode; and of a
conjugate model. Prints a line for each kind. Takes minutes.

Where a discrete site is enumerated the verdict cannot tell, and no sentence says where runs end: so
the mixture is one whose components are summed in its density.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from scipy.stats import binomtest

from tests.engine.sources import write
from tests.many.test_chunk import plan
from tui_elbo.many.barrier import falls_on_the_way
from tui_elbo.many.executors import local
from tui_elbo.many.folder import SweepFolder, row_of
from tui_elbo.many.sweep import Sweep
from tui_elbo.model.grid import RunSpec, grid, parse_choice
from tui_elbo.model.records import Column
from tui_elbo.model.run_table import Row, modes_notes
from tui_elbo.model.scenarios import find_scenario
from tui_elbo.runfile.database import read

SWEEPS, FIRST_SEED = 20, 5000

MIXTURE = """
import torch, pyro, pyro.distributions as dist
from torch.distributions import constraints

data = torch.tensor([-4.1, -3.9, -4.0, 0.1, -0.1, 0.0, 0.2, 3.9, 4.1, 4.0, 4.05, 3.95])
optimizer = pyro.optim.ClippedAdam({"lr": 0.03, "lrd": 0.998})

def model():
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("components", 3):
        place = pyro.sample("place", dist.Normal(0.0, 5.0))
    which = dist.Categorical(weights)
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.MixtureSameFamily(which, dist.Normal(place, 0.5)), obs=data)

def start():
    return torch.tensor([-4.0, 0.0, 4.0])[torch.randperm(3)] + 0.5 * torch.randn(3)

def guide():
    a = pyro.param("a", torch.full((3,), 4.0), constraint=constraints.positive)
    loc = pyro.param("loc", start)
    scale = pyro.param("scale", torch.full((3,), 0.25), constraint=constraints.positive)
    pyro.sample("weights", dist.Dirichlet(a))
    with pyro.plate("components", 3):
        pyro.sample("place", dist.Normal(loc, scale))
"""


def from_both_sides(folder: Path) -> str:
    """`two_modes`, that begins where a setting says."""
    text = find_scenario("two_modes").path.read_text()
    begin = 'pyro.param("loc", torch.tensor(1.0))'
    assert begin in text
    text = text.replace(begin, 'pyro.param("loc", torch.tensor(settings["start"]))')
    return str(write(folder, text + '\nsettings = {"start": 1.0}\n', "from_both_sides.py"))


def rows_of(path: str, runs: tuple[RunSpec, ...], folder: Path, steps: int) -> list[Row]:
    """The runs of a sweep, at most so many steps each."""
    of = plan(path, runs, steps=steps, converged=True)
    goal = msgspec.structs.replace(of.goal, draws=64)
    held = SweepFolder(folder, msgspec.structs.replace(of, goal=goal))
    found = Sweep(held, local(None)).run()
    held.close()
    return [row_of(run, folder) for run in found]


def apart(one: str, other: str) -> bool | None:
    """As the command asks it, but in this process."""
    return falls_on_the_way(one, other, 64)


def measured(
    kind: str, rows: list[Row], each: int, right: Callable[[str], bool], known: Callable[[Row], int]
) -> None:
    """Print how often the modes of so many runs each are found right.

    Args:
        kind: of the sweeps.
        rows: of all of them.
        each: how many runs a sweep has.
        right: whether a sentence is.
        known: of a run, that in which those of one sweep may differ: its side, its labels' order.
    """
    hits, said, differ = 0, set(), 0
    for first in range(0, len(rows), each):
        sweep = rows[first : first + each]
        notes = modes_notes(sweep, apart)
        hits += len(notes) == 1 and right(notes[0])
        differ += len({known(row) for row in sweep}) > 1
        said |= set(notes)
    sweeps, rest = len(rows) // each, sum(row.verdict == "stationary" for row in rows)
    interval = binomtest(hits, sweeps).proportion_ci()
    print(f"{kind}: right in {hits} of {sweeps} sweeps of {each} runs, with a 95 % interval of")
    print(
        f"  {interval.low:.0%} to {interval.high:.0%}; in {differ} sweeps the runs are not alike;"
    )
    print(f"  {rest} of {len(rows)} runs at rest, after", steps_text(rows), flush=True)
    for sentence in sorted(said):
        print(f"    {sentence}", flush=True)


def steps_text(rows: list[Row]) -> str:
    """Their steps."""
    steps = np.array([row.step for row in rows])
    return f"{np.median(steps):.0f} steps (median; {steps.min()} to {steps.max()})"


def order(row: Row) -> int:
    """In which order a mixture's labels are at its last step: the digits of the components."""
    batch = read(Path(row.file)).batches[-1]
    index = [batch.layout.index[Column("param", "loc", f"value[{i}]")] for i in range(3)]
    return int("".join(map(str, np.argsort(batch.values[index, -1]))))


def main() -> int:
    """Print a line for each kind."""
    options = argparse.ArgumentParser()
    options.add_argument("folder", type=Path)
    options.add_argument("--sweeps", type=int, default=SWEEPS)
    chosen = options.parse_args()
    folder, count = chosen.folder, chosen.sweeps
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    both = grid(seeds, [parse_choice("start=-1.0,1.0")], [])
    both = tuple(sorted(both, key=lambda run: (run.seed, run.given)))
    rows = rows_of(from_both_sides(folder), both, folder / "two_modes", 3000)
    measured("two modes", rows, 2, two_modes, side)
    pairs = grid(range(FIRST_SEED, FIRST_SEED + 2 * count), [], [])
    mixture = str(write(folder, MIXTURE, "mixture.py"))
    rows = rows_of(mixture, pairs, folder / "mixture", 3000)
    measured("permuted labels", rows, 2, one_mode, order)
    rows = rows_of("conjugate_normal", pairs, folder / "conjugate_normal", 3000)
    measured("conjugate", rows, 2, one_mode, lambda _: 0)
    return 0


def one_mode(text: str) -> bool:
    """Whether the sentence says that all are in one mode."""
    return "end in one mode" in text and "another" not in text


def two_modes(text: str) -> bool:
    """Whether the sentence says that the two are in two modes."""
    return text.startswith("1 of 2 runs end in one mode, 1 in another, ")


def side(row: Row) -> int:
    """On which side a run of `two_modes` began."""
    return int(float(row.run["start"]) > 0)


if __name__ == "__main__":
    sys.exit(main())
