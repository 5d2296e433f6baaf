"""What a point of the lens costs: against plain steps, in one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from tui_elbo.engine.lens import Lens
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.benchmark

ROUNDS, STEPS, POINTS = 15, 20, 5


@pytest.mark.parametrize("name", ["fixed_mean_guide", "no_theta", "regression", "coin"])
def test_a_point_of_256_draws_costs_less_than_eight_steps(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    session = Session(name)
    session.advance(50)
    lens = Lens(session.scenario, 256)
    lens.see()
    assert not lens.looped
    ratios = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        session.advance(STEPS)
        middle = time.perf_counter()
        for _ in range(POINTS):
            lens.see()
        end = time.perf_counter()
        ratios.append((end - middle) / POINTS / ((middle - begin) / STEPS))
    found = statistics.median(ratios)
    record_property("ratio", found)
    print(f"\n{name}: a point of 256 draws costs {found:.2f} steps (at most 8)")
    assert found < 8
