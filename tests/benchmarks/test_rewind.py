"""What going back costs: as ratios to plain steps, measured in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.test_overhead import MODEL
from tui_elbo.engine.record.budget import Budget
from tui_elbo.engine.session import Session
from tui_elbo.model.scenarios import CHECKPOINT_MEMORY

pytestmark = pytest.mark.benchmark

TRIES = 3
"""Noise only adds, so the least of a few measurements is the nearest to the cost of the code."""


def path_of(folder: Path) -> str:
    path = folder / "one_latent.py"
    path.write_text(MODEL.format(particles=1))
    return str(path)


def seconds(act: Callable[[], object]) -> float:
    begin = time.thread_time()
    act()
    return time.thread_time() - begin


def test_one_step_back_among_the_last_fifty(tmp_path: Path) -> None:
    """After running to a step, as after stepping by hand: the worst of the fifty."""
    plain = Session(path_of(tmp_path))
    plain.due = Budget()
    step = seconds(lambda: plain.advance(1000)) / 1000
    took = min((_steps_back(path_of(tmp_path)) for _ in range(TRIES)), key=max)
    first, median, worst = took[0] / step, statistics.median(took) / step, max(took) / step
    told = f"first {first:.1f}, median {median:.1f}, worst {worst:.1f}"
    print(f"\none step back / plain step: {told}")
    assert worst < 5


def _steps_back(path: str) -> list[float]:
    session = Session(path, checkpoint_memory=CHECKPOINT_MEMORY)
    session.due, session.target = Budget(), 1000
    session.advance(1000)
    return [seconds(lambda to=to: session.go_to(to)) for to in range(999, 949, -1)]


def test_any_step_of_a_long_run(tmp_path: Path) -> None:
    """With the default budget, from the run's end to places all over it and to step 1."""
    session = Session(path_of(tmp_path), checkpoint_memory=CHECKPOINT_MEMORY)
    session.due = Budget()
    step = seconds(lambda: session.advance(10_000)) / 10_000
    worst = 0.0
    for to in (9_999, 9_000, 7_777, 5_000, 2_222, 600, 50, 1):
        took = seconds(lambda to=to: session.go_to(to)) / step
        print(f"to {to}: {took:.0f} plain steps")
        worst = max(worst, took)
    assert worst < 1000


def test_taking_checkpoints_costs_a_plain_step_little(tmp_path: Path) -> None:
    found = []
    for _ in range(TRIES):
        sessions = [Session(path_of(tmp_path), checkpoint_memory=m) for m in (0, CHECKPOINT_MEMORY)]
        found.append(_ratio(sessions))
        if found[-1] <= 1.03:
            break
    print(f"\nwith checkpoints / without = {', '.join(f'{one:.3f}' for one in found)}")
    assert min(found) <= 1.03


def _ratio(sessions: list[Session]) -> float:
    """First quartiles of interleaved bursts; each side's store is put in place before its own."""
    from tests.benchmarks.test_overhead import keep, restore

    states, times = [], [[], []]
    for session in sessions:
        session.restart()
        session.due = Budget()
        session.advance(300)
        states.append(keep())
    for burst in range(30):
        for side in (0, 1) if burst % 2 else (1, 0):
            restore(states[side])
            times[side].append(seconds(lambda side=side: sessions[side].advance(200)))
            states[side] = keep()
    without, with_them = (statistics.quantiles(one, n=4)[0] for one in times)
    return with_them / without
