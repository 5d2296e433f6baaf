"""What recording costs: recorded steps against plain ones, in interleaved bursts in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.benchmarks.training import Plain, one_latent, settle_heap, side, steps_of_a_burst
from tui_elbo.engine.record.options import Budget
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.benchmark

PAIRS = 80


@pytest.mark.parametrize(("particles", "most"), [(1, 1.06), (10, 1.03)])
def test_recording_a_one_latent_model_costs_little(
    tmp_path: Path, particles: int, most: float
) -> None:
    path = one_latent(tmp_path, particles)
    plain = Plain(path)
    steps = steps_of_a_burst(plain.advance)
    plain_side = side(plain.advance, steps)
    session = Session(path)
    session.due = Budget()
    session.advance(20)
    recorded_side = side(session.advance, steps)
    settle_heap()
    found = ratio(interleaved(recorded_side, plain_side, PAIRS))
    judge(f"recorded / plain step, {particles} particles", found, most)
