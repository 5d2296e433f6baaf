"""Which data the lens looks at: all of it where it can, else many fixed minibatches."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tui_elbo.engine.lens.subject import RememberedBatches, Subject

BATCHES = 32
"""Near an optimum the sign of a single minibatch's change is wrong half the time."""

SEED = 314_159_265
"""Of all that the lens draws, whatever the seed of the run: digits of π, which nobody has chosen
for their luck and nobody gives a run, whose draws must be others than the lens's."""


@dataclass(frozen=True, eq=False)
class Group:
    """Draws that see the same data."""

    args: tuple[Any, ...]
    """Of model and guide."""
    first: int
    """The index of its first draw among all."""
    draws: int
    seed: int


@dataclass(frozen=True, eq=False)
class Data:
    """What model and guide can be called with."""

    batches: list[tuple[Any, ...]]
    """The arguments of each; a single one if that is all the data."""

    @property
    def whole(self) -> bool:
        """Whether all draws see all data."""
        return len(self.batches) == 1


def data(scenario: Subject, seed: int = SEED) -> Data:
    """All data at once, or as many minibatches as it takes, drawn from the run's steps.

    Args:
        scenario: whose batches they are.
        seed: of the choice of steps.
    """
    if scenario.full_batch is not None:
        return Data([_tuple(scenario.full_batch())])
    return step_batches(scenario, seed)


def step_batches(scenario: Subject, seed: int = SEED) -> Data:
    """What steps are called with; a single batch if that is the same for all.

    Steps are chosen at random, since equal distances may fall in with the length of an epoch.

    Args:
        scenario: whose batches they are.
        seed: of the choice of steps.
    """
    if isinstance(scenario, RememberedBatches):
        return Data(list(scenario.calls))
    first = _tuple(scenario.batch(1))
    if not first:
        return Data([first])
    steps = random.Random(seed).sample(range(1, max(scenario.steps, BATCHES) + 1), BATCHES)
    batches = [_tuple(scenario.batch(step)) for step in steps]
    return Data([first] if all(_same(first, other) for other in batches) else batches)


def groups(data: Data, draws: int, *, subsampled: bool, most: int, seed: int) -> list[Group]:
    """How so many draws are spread over the data.

    Args:
        data: what there is.
        draws: how many in all; at least one for each batch.
        subsampled: whether the model chooses subsamples of its own, anew for each group.
        most: how many draws at once fit into memory.
        seed: of the first group.
    """
    if data.whole and not subsampled:
        count = -(-draws // most)
        shares = [draws // count + (i < draws % count) for i in range(count)]
        args = data.batches * count
    else:
        args = data.batches * (BATCHES if data.whole else 1)
        each = max(draws // len(args), 1)
        shares = [each] * len(args)
    starts = np.cumsum([0, *shares[:-1]]).tolist()
    seeds = [seed + 7919 * i for i in range(len(args))]
    return [Group(*one) for one in zip(args, starts, shares, seeds, strict=True)]


def _tuple(args: Any) -> tuple[Any, ...]:
    if not isinstance(args, tuple):
        raise TypeError(f"the lens needs a tuple of arguments, and got a {type(args).__name__}")
    return args


def _same(one: Any, other: Any) -> bool:
    """Whether two batches hold the same data; False where that is not known."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor | np.ndarray):
        return one.shape == other.shape and bool((one == other).all())
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return isinstance(one, int | float | str | bytes) and one == other
