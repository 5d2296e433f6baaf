"""What 5,000 parameters and 300 sites cost to record: over the plain loop, within the budget."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.pairs import judge, ratio
from tests.benchmarks.training import Plain, settle_heap, side
from tests.engine.many import many
from tui_elbo.engine.record.modules import BUDGET, LEAST
from tui_elbo.engine.record.options import Always, Budget
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.benchmark

ROUNDS = 9


def test_recording_thousands_of_parameters_costs_little(tmp_path: Path) -> None:
    """Step by step in turn: plain, recorded while running, recorded by hand."""
    path = tmp_path / "many.py"
    path.write_text(many(5_000, sites=300))
    sides = {"plain": side(Plain(str(path), warm=2).advance, 1)}
    for way, due in {"run": Budget(), "hand": Always()}.items():
        session = Session(str(path))
        session.due = due
        layout = session.advance(2)[-1].layout
        sides[way] = side(session.advance, 1)
    own = sum(column.kind in ("param", "module") for column in layout.columns)
    assert own <= LEAST
    assert len(layout.columns) - own <= 2 * len(layout.sites) + 5
    print(f"\n{len(layout.columns)} columns, {own} of them of {len(layout.params)} parameters")
    settle_heap()
    took: dict[str, list[float]] = {way: [] for way in sides}
    for number in range(ROUNDS):
        for way in np.roll(list(sides), number):
            took[way].append(sides[way]())
    for way in ("run", "hand"):
        pairs = zip(took[way], took["plain"], strict=True)
        judge(f"recorded / plain step, 5,000 parameters, {way}", ratio(pairs), 1.10)


def test_many_parameters_and_fewer_sites_are_within_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "many.py"
    path.write_text(many(5_000, sites=100))
    session = Session(str(path))
    assert len(session.advance(1)[-1].layout.columns) <= BUDGET
