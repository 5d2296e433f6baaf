"""What the lens costs: a point against plain steps, and its share of a run, in one process."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.benchmarks.pairs import bootstrap, interleaved, judge, ratio
from tui_elbo.client.run_state import Run
from tui_elbo.engine.lens import Lens, schedule
from tui_elbo.engine.lens.fork import ForkedCall, fault_seconds
from tui_elbo.engine.lens.schedule import LensScheduler
from tui_elbo.engine.scenario_source import ScenarioSource
from tui_elbo.engine.session import Session
from tui_elbo.engine.verdict.iterates import Iterates
from tui_elbo.engine.verdict.probe import Judged, judged
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


RUN, LOOKS = 3.0, 5
"""Seconds of a run, and looks, at least, of which the lens may take a fiftieth."""

SCENARIOS = ["fixed_mean_guide", "eight_schools", "minibatch_forgotten_scale", "network"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_while_running_looks_take_a_fiftieth_of_the_runs_time(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fork and the copies of the parameters; what a copy does takes no time of the run's."""
    looks: list[tuple[float, float]] = []
    start = LensScheduler.start

    def timed(self: LensScheduler) -> None:
        begin = time.perf_counter()
        start(self)
        looks.append((begin, time.perf_counter() - begin))

    monkeypatch.setattr(LensScheduler, "start", timed)
    events: list[Event] = []
    source = ScenarioSource(events.append)
    for command in (Load(target=name), RunUntil()):
        source.handle(command)
    while not any(isinstance(event, LensPointAdded) for event in events):
        source.work()
    begin = time.perf_counter()
    looks.clear()
    while time.perf_counter() - begin < RUN or len(looks) <= LOOKS:
        source.work()
    begins, took = np.array(looks).T
    # Each look, and the time from it to the next one.
    spans = np.stack([took[:-1], np.diff(begins)], axis=-1)

    def share(spans: np.ndarray, axis: int) -> np.ndarray:
        sums = spans.sum(axis=axis)
        return sums[..., 0] / sums[..., 1]

    judge(f"what looks take of a run, {name}", bootstrap(spans, share), 0.02)


LONG, BLOCK = 2048, 64
"""Steps of a run, and of the parts of it that are resampled as wholes."""


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_forks_for_the_verdict_and_the_sums_of_iterates_take_a_fiftieth_of_a_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first step on, in time of the run's thread."""
    spent, judging = 0.0, False
    start, took = LensScheduler.start, Iterates.took

    def timed_start(self: LensScheduler) -> None:
        nonlocal spent, judging
        judging, begin = False, time.thread_time()
        start(self)
        spent += (time.thread_time() - begin) * judging

    def timed_took(
        self: Iterates, step: int, stored: Sequence[tuple[str, Tensor]], seconds: float
    ) -> None:
        nonlocal spent
        begin = time.thread_time()
        took(self, step, stored, seconds)
        spent += time.thread_time() - begin

    def noted(*args: Any, **options: Any) -> Judged:
        nonlocal judging
        judging = True
        return judged(*args, **options)

    monkeypatch.setattr(LensScheduler, "start", timed_start)
    monkeypatch.setattr(Iterates, "took", timed_took)
    monkeypatch.setattr(schedule, "judged", noted)
    run = Run()
    source = ScenarioSource(run.apply)
    for command in (Load(target=name), RunUntil(until=10**9)):
        source.handle(command)
    blocks = []
    while run.step < LONG:
        goal, begin, before = run.step + BLOCK, time.thread_time(), spent
        while run.step < goal:
            source.work()
        blocks.append((spent - before, time.thread_time() - begin))
    source.handle(Pause())

    def share(blocks: np.ndarray, axis: int) -> np.ndarray:
        sums = blocks.sum(axis=axis)
        return sums[..., 0] / sums[..., 1]

    judge(f"forks for the verdict, and iterates / a run, {name}", bootstrap(blocks, share), 0.02)


WRITTEN = 25 * 2**20
"""Floats of a tensor that is changed in place: 100 MB."""


def test_a_fork_makes_the_next_write_dearer_by_what_is_charged_for_it() -> None:
    tensor = torch.ones(WRITTEN)

    def write() -> float:
        begin = time.perf_counter()
        tensor.add_(1.0)
        return time.perf_counter() - begin

    def after_fork() -> float:
        copy = ForkedCall(lambda _: threading.Event().wait())
        try:
            return write() - write()
        finally:
            copy.end()

    pages = WRITTEN * 4 / resource.getpagesize()

    def charged() -> float:
        return pages * fault_seconds()

    judge("page faults after a fork / charged", ratio(interleaved(after_fork, charged, 9)), 2.0)
