"""What 5,000 parameters and 300 sites cost to watch: over the plain loop, within the budget."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch

from tests.benchmarks.test_overhead import Plain, keep, restore
from tests.engine.many import many
from tui_elbo.engine.record.budget import Always, Budget, Due
from tui_elbo.engine.record.modules import BUDGET, LEAST
from tui_elbo.engine.session import Session

pytestmark = pytest.mark.benchmark

STEPS = 8


@pytest.mark.parametrize(("due", "most"), [(Budget(), 1.10), (Always(), 1.15)], ids=["run", "hand"])
def test_watching_thousands_of_parameters_costs_little(
    due: Due, most: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Step by step in turn; each side owns its run, as in `test_overhead`."""
    path = tmp_path / "many.py"
    path.write_text(many(5_000, sites=300))
    torch.set_num_threads(1)
    plain, state = Plain(path, warm=2), keep()
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
    watched, times = keep(), {"plain": 0.0, "watched": 0.0}
    gc.collect()
    gc.freeze()
    for step in range(STEPS):
        for name in ("plain", "watched") if step % 2 else ("watched", "plain"):
            restore(state if name == "plain" else watched)
            begin = time.thread_time()
            plain.advance(1) if name == "plain" else session.advance(1)
            times[name] += time.thread_time() - begin
            if name == "plain":
                state = keep()
            else:
                watched = keep()
    ratio = times["watched"] / times["plain"]
    record_property("ratio", ratio)
    print(f"watched / plain = {ratio:.3f} (at most {most})")
    assert ratio <= most


def test_many_parameters_and_fewer_sites_are_within_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "many.py"
    path.write_text(many(5_000, sites=100))
    session = Session(str(path))
    assert len(session.advance(1)[-1].layout.columns) <= BUDGET
