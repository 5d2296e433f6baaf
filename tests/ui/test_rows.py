"""The table of parameters where sums are taken at some steps alone, and most have no columns."""

from __future__ import annotations

import numpy as np
from textual.app import App, ComposeResult

from tui_elbo.model.history import History
from tui_elbo.model.records import SUMMARY, Batch, Column, Layout, ModuleInfo, ParamInfo
from tui_elbo.ui.panes.params import ParamsPane, Row, by_movement, rows

PARAMS = tuple(ParamInfo(f"net.w{i}", "guide", (), "real") for i in range(300))
MODULES = (ModuleInfo("net", "guide", 300, 300),)
LOSS = Column("step", "", "loss")
SUMS = tuple(Column("module", "net", field) for field in (*SUMMARY, "grad_norm", "update_norm"))
ONE = tuple(Column("param", "net.w7", field) for field in ("value[0]", "grad_norm", "update_norm"))

BETWEEN = Layout(0, (), PARAMS, (LOSS,), modules=MODULES)
DUE = Layout(1, (), PARAMS, (LOSS, *SUMS), modules=MODULES)
WATCHED = Layout(2, (), PARAMS, (LOSS, *ONE), modules=MODULES)


def history() -> History:
    """Sums at steps 2 and 4; one parameter is watched from step 6 on."""
    found = History()
    for step, layout in enumerate((BETWEEN, DUE, BETWEEN, DUE, BETWEEN, WATCHED, WATCHED), 1):
        values = [float(step)] + [step + i / 10 for i in range(1, len(layout.columns))]
        found.append(Batch(layout, step, np.array(values)[:, None]))
    return found


def test_sums_are_those_taken_last() -> None:
    kept, [row] = history(), rows(DUE, "", ())
    assert (row.kind, row.label, row.params) == ("module", "net", 300)
    means = [row.at(kept, kept.layout_at(step), "mean", step) for step in range(1, 8)]
    assert means == [None, 2.1, 2.1, 4.1, 4.1, 4.1, 4.1]
    taken = [row.taken(kept.layout_at(step), "mean") for step in range(1, 8)]
    assert taken == [False, True, False, True, False, False, False]


def test_the_order_by_movement_needs_no_sums_of_this_step() -> None:
    kept, layout = history(), WATCHED
    found = rows(layout, "net", ())
    assert [row.name for row in by_movement(found, kept, layout, 7, ())[:2]] == ["net.w7", "net"]


def test_what_is_not_recorded_makes_no_column() -> None:
    kept = history()
    for row in rows(DUE, "net.w", ()):
        assert row.at(kept, DUE, "update_norm", 4) is None
    large = Row("param", "large", "model", (400,), recorded=False)
    assert large.at(kept, DUE, "mean", 4) is None
    assert set(kept.columns) == {LOSS, *SUMS, *ONE}


class Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield ParamsPane()


async def test_the_pane_shows_them_and_no_change_from_nowhere() -> None:
    async with Alone().run_test(size=(70, 12)) as pilot:
        pane = pilot.app.query_one(ParamsPane)

        def text(step: int) -> str:
            pane.show(history(), step)
            lines = [pane.lines_of(row, True) for row in range(pane.count())]
            return "\n".join("".join(piece[0] for piece in line) for one in lines for line in one)

        await pilot.pause()
        assert "nan" not in text(1)
        shown = text(5)
        assert "nan" not in shown
        for number in ("4.1", "4.2", "4.3", "4.4", "4.5", "4.6"):
            assert number in shown, shown
        shown = text(6)
        assert "net.w7" in shown
        assert "6.1" in shown
        # Its value before is not known, so its change is not.
        assert "nan" not in shown
        assert "+1" in text(7)
