"""What the rules on running runs take of the engine's time, while a run goes on without a lens."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.pairs import bootstrap, judge
from tests.benchmarks.training import one_latent
from tui_elbo.engine.checks.checker import Checker
from tui_elbo.engine.checks.monitor import Monitor
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.benchmark

BURSTS, STEPS = 40, 100

SHORT = 8
"""Steps of a batch, as a slow terminal or a loaded machine makes them."""


class Spent:
    """The processor's time that some calls take, of the thread that makes them."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, act: Callable[..., object]) -> Callable[..., None]:
        """The same function, with its time counted."""

        def call(*args: object) -> None:
            began = time.thread_time()
            act(*args)
            self.seconds += time.thread_time() - began

        return call


def test_the_rules_take_a_small_share_of_the_time_of_the_steps(tmp_path: Path) -> None:
    session, spent = Session(one_latent(tmp_path, 1)), Spent()
    session.due = Budget()
    monitor = Monitor(Checker(lambda _: None))
    monitor.follow(lambda: session.optimizer, 0)
    session.observe(spent.timed(monitor.observe))
    stepped = spent.timed(monitor.stepped)

    def share() -> float:
        spent.seconds, began = 0.0, time.thread_time()
        for _ in range(0, STEPS, SHORT):
            session.advance(SHORT)
            stepped()
        return spent.seconds / (time.thread_time() - began)

    for _ in range(3):
        share()
    found = bootstrap((share() for _ in range(BURSTS)), np.mean)
    judge("rules / engine while running", found, 0.02)
