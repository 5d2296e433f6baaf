"""What `tui_elbo.watch` costs a script that nobody looks at: interleaved bursts in one process."""

from __future__ import annotations

from pathlib import Path

import pytest

import tui_elbo
from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.benchmarks.training import Plain, one_latent, settle_heap, side, steps_of_a_burst
from tests.runtime import runtime_folder

pytestmark = pytest.mark.benchmark

PAIRS = 80


@pytest.mark.parametrize(("particles", "most"), [(1, 1.03), (10, 1.03)])
def test_watching_a_script_costs_little(tmp_path: Path, particles: int, most: float) -> None:
    path = one_latent(tmp_path, particles)
    plain = Plain(path)
    steps = steps_of_a_burst(plain.advance)
    plain_side = side(plain.advance, steps)
    watched = Plain(path)
    with runtime_folder(), tui_elbo.watch(watched.svi, "benchmark"):
        watched.advance(20)
        watched_side = side(watched.advance, steps)
        settle_heap()
        found = ratio(interleaved(watched_side, plain_side, PAIRS))
    judge(f"watched / plain step of a script, {particles} particles", found, most)
