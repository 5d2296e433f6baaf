"""A batch's columns and the single numbers that conditions read come from one definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.engine.matrix import PRELUDE, Combo, write
from tests.engine.models import NETWORK
from tui_elbo.engine.record.nonfinite import NonFiniteFinder
from tui_elbo.engine.session import Session
from tui_elbo.model.records import Batch, Column, Layout, UnknownColumnError, field_of

pytestmark = pytest.mark.filterwarnings("ignore")

TEXTS = {
    str(combo): combo.text
    for combo in (
        Combo("Trace_ELBO", "AutoNormal", "looped"),
        Combo("TraceEnum_ELBO", "AutoNormal", "one"),
        Combo("ReweightedWakeSleep", "AutoDiagonalNormal", "vectorised"),
        Combo("TraceTailAdaptive_ELBO", "AutoNormal", "vectorised"),
        Combo("JitTrace_ELBO", "by_hand", "one"),
    )
} | {"network": PRELUDE.format(title="a network") + NETWORK}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_each_number_of_a_step_is_that_of_the_batch(text: str, tmp_path: Path) -> None:
    session = Session(write(tmp_path, text))
    seen: list[tuple[Layout, list[float]]] = []

    def ask(layout: Layout, step: int, numbers: object) -> bool:
        seen.append((layout, [numbers(column) for column in layout.columns]))
        return False

    session.until = ask
    batches = []
    while session.steps_taken < 3:
        batches += session.advance(3 - session.steps_taken)
    columns = [(batch.layout, batch.values[:, i]) for batch in batches for i in range(batch.steps)]
    assert len(columns) == len(seen) == 3
    for (layout, single), (whole, numbers) in zip(seen, columns, strict=True):
        assert layout is whole
        np.testing.assert_allclose(single, numbers, rtol=1e-12)
        for column in layout.columns:
            field_of(column)


def test_a_number_that_the_step_does_not_have_raises(tmp_path: Path) -> None:
    session = Session(write(tmp_path, TEXTS["network"]))

    def ask(layout: Layout, step: int, numbers: object) -> bool:
        return numbers(Column("step", "", "entropy")) > 1

    session.until = ask
    with pytest.raises(UnknownColumnError, match="no column entropy"):
        session.advance(1)


def test_the_search_for_what_is_not_finite_does_not_guess() -> None:
    layout = Layout(1, (), (), (Column("site", "z", "entropy"),))
    with pytest.raises(UnknownColumnError, match=r"no column sites\.z\.entropy"):
        NonFiniteFinder().look(Batch(layout, 1, np.array([[np.nan]])))
