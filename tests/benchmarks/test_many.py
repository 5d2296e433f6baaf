"""What 5,000 parameters and 300 sites cost to record: over the plain loop, within the budget."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.pairs import interleaved, judge, ratio
from tests.benchmarks.training import Plain, settle_heap, side
from tests.engine.many import many
from tui_elbo.engine.record.budget import Always, Budget, Due
from tui_elbo.engine.record.modules import BUDGET, LEAST
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.benchmark

PAIRS = 14


@pytest.mark.parametrize("due", [Budget(), Always()], ids=["run", "hand"])
def test_recording_thousands_of_parameters_costs_little(
    due: Due, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Step by step in turn."""
    path = tmp_path / "many.py"
    path.write_text(many(5_000, sites=300))
    plain_side = side(Plain(str(path), warm=2).advance, 1)
    session = Session(str(path))
    session.due = due
    layout = session.advance(2)[-1].layout
    own = sum(column.kind in ("param", "module") for column in layout.columns)
    assert own <= LEAST
    assert len(layout.columns) - own <= 2 * len(layout.sites) + 5
    print(
        f"\n{len(layout.columns)} columns, {own} of them of {len(layout.params)} parameters", end=""
    )
    print(f"; the layout takes {len(msgspec.msgpack.encode(layout)) // 1024} KiB, once")
    recorded_side = side(session.advance, 1)
    settle_heap()
    found = ratio(interleaved(recorded_side, plain_side, PAIRS))
    way = request.node.callspec.id
    judge(f"recorded / plain step, 5,000 parameters, {way}", found, 1.10)


def test_many_parameters_and_fewer_sites_are_within_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "many.py"
    path.write_text(many(5_000, sites=100))
    session = Session(str(path))
    assert len(session.advance(1)[-1].layout.columns) <= BUDGET
