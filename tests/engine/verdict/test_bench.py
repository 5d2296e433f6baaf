"""The named slow benchmark: how often the verdict is right, printed as a table.

pytest -n 0 -s -m slow tests/engine/verdict/test_bench.py
"""

from __future__ import annotations

import pytest

from tests.engine.verdict.bench import Table, cases

SAMPLE = ("normal", "spread", "coin", "prior width", "point")
"""Quick ones of each sort; `python -m tests.engine.verdict.bench` runs all."""


@pytest.mark.slow
def test_the_verdict_is_right_on_runs_whose_best_is_known() -> None:
    table = Table(list(cases(SAMPLE, steps=512, seeds=[0])))
    print(*table.lines(), sep="\n")
    assert table.false_stationary == []
    assert table.stuck_stationary == []
    assert table.false_improving == []
    assert len(table.covered) >= 0.9 * len(table.bounded)
    assert len(table.of("cannot_tell")) <= 0.15 * len(table.cases)
