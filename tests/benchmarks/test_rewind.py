"""What going back costs: as ratios to plain steps, measured in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.pairs import bootstrap, interleaved, judge, ratio
from tests.benchmarks.training import one_latent, seconds, settle_heap, side
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.session import Session
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY

pytestmark = pytest.mark.benchmark

ROUNDS = 5


def test_one_step_back_among_the_last_fifty(tmp_path: Path) -> None:
    """After running to a step, as after stepping by hand: the worst of the fifty."""
    path = one_latent(tmp_path)
    rounds = np.array([_steps_back(path) for _ in range(ROUNDS)])

    def worst(rounds: np.ndarray, axis: int) -> np.ndarray:
        return np.median(rounds, axis=axis).max(axis=-1)

    each = np.median(rounds, axis=0)
    print(f"\none step back: first {each[0]:.1f}, median {np.median(each):.1f} plain steps")
    judge("one step back, the worst of 50, in plain steps", bootstrap(rounds, worst), 5)


def _steps_back(path: str) -> list[float]:
    """Each over the plain step of the same run."""
    session = Session(path, checkpoint_memory=CHECKPOINT_MEMORY)
    session.due, session.target = Budget(), 1000
    step = seconds(lambda: session.advance(1000)) / 1000
    return [seconds(lambda to=to: session.go_to(to)) / step for to in range(999, 949, -1)]


def test_any_step_of_a_long_run(tmp_path: Path) -> None:
    """With the default budget, from the run's end to places all over it and to step 1."""
    session = Session(one_latent(tmp_path), checkpoint_memory=CHECKPOINT_MEMORY)
    session.due = Budget()
    step = seconds(lambda: session.advance(10_000)) / 10_000
    worst = 0.0
    for to in (9_999, 9_000, 7_777, 5_000, 2_222, 600, 50, 1):
        took = seconds(lambda to=to: session.go_to(to)) / step
        print(f"to {to}: {took:.0f} plain steps")
        worst = max(worst, took)
    judge("back from step 10,000 to anywhere, in plain steps", worst, 1000)


def test_taking_checkpoints_costs_a_plain_step_little(tmp_path: Path) -> None:
    path = one_latent(tmp_path)
    sides = []
    for memory in (CHECKPOINT_MEMORY, 0):
        session = Session(path, checkpoint_memory=memory)
        session.due = Budget()
        session.advance(300)
        sides.append(side(session.advance, 200))
    settle_heap()
    found = ratio(interleaved(*sides, 60))
    judge("step with checkpoints / without", found, 1.03)
