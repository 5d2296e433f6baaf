"""What the lens costs: a point against plain steps, and its share of a run, in one process."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.benchmarks.pairs import bootstrap, interleaved, judge, ratio
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.schedule import LensScheduler
from tui_elbo.engine.server.command_handler import CommandHandler
from tui_elbo.engine.session import Session
from tui_elbo.protocol import Event, LensPointAdded, Load, Pause, RunUntil

pytestmark = pytest.mark.benchmark

PAIRS, STEPS, POINTS = 25, 20, 5


@pytest.mark.parametrize("name", ["fixed_mean_guide", "no_theta", "regression", "coin"])
def test_a_point_of_256_draws_costs_less_than_eight_steps(name: str) -> None:
    session = Session(name)
    session.advance(50)
    lens = Lens(session.scenario, 256)
    lens.see()
    assert not lens.looped

    def point() -> float:
        begin = time.perf_counter()
        for _ in range(POINTS):
            lens.see()
        return (time.perf_counter() - begin) / POINTS

    def step() -> float:
        begin = time.perf_counter()
        session.advance(STEPS)
        return (time.perf_counter() - begin) / STEPS

    judge(f"a lens point / plain step, {name}", ratio(interleaved(point, step, PAIRS)), 8)


RUN, LOOKS = 3.0, 3
"""Seconds of a run, and looks, at least, of which the lens may take a tenth."""

SCENARIOS = ["fixed_mean_guide", "eight_schools", "minibatch_forgotten_scale", "network"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_while_running_the_lens_takes_a_tenth_of_the_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What starting a look takes, the fork with it; page faults after it are in the steps."""
    looks: list[tuple[float, float]] = []
    start = LensScheduler.start

    def timed(self: LensScheduler) -> None:
        begin = time.perf_counter()
        start(self)
        looks.append((begin, time.perf_counter() - begin))

    monkeypatch.setattr(LensScheduler, "start", timed)
    events: list[Event] = []
    handler = CommandHandler(events.append)
    for command in (Load(target=name), RunUntil()):
        handler.carry_out(command)
    # The first look settles how the lens draws; that is part of loading.
    while not any(isinstance(event, LensPointAdded) for event in events):
        handler.work()
    begin = time.perf_counter()
    looks.clear()
    while time.perf_counter() - begin < RUN or len(looks) < LOOKS:
        handler.work()
    handler.carry_out(Pause())
    begins, took = np.array(looks).T
    # Each look, and the time from it to the next one.
    spans = np.stack([took[:-1], np.diff(begins)], axis=-1)

    def share(spans: np.ndarray, axis: int) -> np.ndarray:
        sums = spans.sum(axis=axis)
        return sums[..., 0] / sums[..., 1]

    judge(f"the lens' share of the time, {name}", bootstrap(spans, share), 0.1)
