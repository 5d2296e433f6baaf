"""The branch left behind: drawn dimly with a label, hidden, and swapped with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.ui.driving import driven
from tests.ui.test_state import LAYOUT, loaded, rows
from tests.ui.test_workspace import FakeSource
from tests.ui.test_workspace import run as saved_run
from tui_elbo.client.run_state import Run
from tui_elbo.model.errors import ProtocolError
from tui_elbo.protocol import (
    BranchesListed,
    BranchInfo,
    BranchSwitched,
    LayoutAdded,
    Rewound,
    Tuned,
)
from tui_elbo.protocol.run_state import Branch
from tui_elbo.ui.actions.branches import file_name
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.plot.cell_grid import BRANCH
from tui_elbo.ui.plot.plotting import Axes, Curve, Look, plot


def branch_columns(styles: tuple[str, ...]) -> set[int]:
    return {x for row in styles for x, style in enumerate(row) if style == BRANCH}


@pytest.mark.parametrize("plain", [False, True])
def test_it_is_drawn_where_the_curve_is_not(plain: bool) -> None:
    values = np.linspace(0.0, 1.0, 40)
    branch = np.r_[np.full(19, np.nan), np.linspace(0.5, 3.0, 61)]
    curve = Curve(values, 1, 40, branches=((branch, "lr .02"),))
    axes = Axes().covering(curve, 10)
    assert axes.span >= 80
    assert axes.high >= 2.5
    look = Look(ascii=plain)
    drawing = plot(curve, axes, 60, 10, look=look)
    without = plot(Curve(values, 1, 40), axes, 60, 10, look=look)
    assert any("lr .02" in row for row in drawing.rows)
    at = [axes.first + (x - 8) * axes.span // 52 for x in branch_columns(drawing.styles)]
    assert min(at) >= 18
    assert max(at) >= 75
    for was, now, style in zip(without.rows, drawing.rows, drawing.styles, strict=True):
        for old, new, mark in zip(was, now, style, strict=True):
            assert old == new or mark == BRANCH
    assert not branch_columns(without.styles)


def test_each_of_several_is_drawn_and_has_a_label_of_its_own() -> None:
    values = np.linspace(0.0, 1.0, 40)
    branches = tuple((values + shift, f"{place}: lr .02") for place, shift in enumerate((1, 2, 3)))
    curve = Curve(values, 1, 40, branches=branches)
    axes = Axes().covering(curve, 20)
    drawing = plot(curve, axes, 100, 20)
    assert all(sum(label in row for row in drawing.rows) == 1 for _, label in branches)
    on = plot(Curve(np.r_[values, 1.0], 1, 41, branches=branches), axes, 100, 20, before=drawing)
    anew = plot(Curve(np.r_[values, 1.0], 1, 41, branches=branches), axes, 100, 20)
    assert (on.rows, on.styles) == (anew.rows, anew.styles)


def test_its_label_is_what_is_other_there() -> None:
    def of(*settings: str) -> Branch:
        return Branch(None, [], settings, 0)  # type: ignore[arg-type]

    here = ("Trace_ELBO", "Adam, lr 0.5")
    assert of("Trace_ELBO", "Adam, lr 0.02").label(here) == "lr .02"
    assert of("Trace_ELBO, 4 particles", "SGD, lr 0.5").label(here) == "4, SGD"
    assert of(*here).label(here) == "before"


def test_its_settings_are_those_of_its_steps() -> None:
    run = Run()
    for event in (loaded(), LayoutAdded(LAYOUT), rows(1, *[[0.0] * 9] * 4)):
        run.apply(event)
    used = run.settings
    run.apply(Tuned(9, "lr 0.5", "Trace_ELBO", "Adam, lr 0.5"))
    run.apply(Rewound(5, 1))
    assert run.branches[1].settings == used


async def test_what_is_tuned_is_confirmed() -> None:
    async with driven("rated") as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ")
        await d.press("t", *"lr 0.5", "enter")
        await d.shows("from the next step on: lr 0.5")


async def test_it_is_shown_hidden_and_swapped_with() -> None:
    async with driven("rated") as d:
        await d.ready()
        await d.press("g")
        await d.shows("there is no branch")
        await d.press("4", "0", "n")
        await d.shows("step 40")
        await d.press("2", "0", "N")
        await d.shows("step 20")
        pane = d.explorer.panes._curves["elbo"]
        await d.until(lambda: branch_columns(pane.drawing.styles))
        await d.press("g")
        await d.shows("hidden: g shows them")
        await d.until(lambda: not branch_columns(pane.drawing.styles))
        await d.press("g", "t")
        await d.shows("tune")
        d.explorer.query_one("#line").value = "lr 0.5"
        await d.press("enter", "7", "n")
        await d.shows("step 27")
        await d.until(lambda: any("lr .02" in row for row in pane.drawing.rows))
        elbo = d.run.branches[1].history
        await d.press("G")
        await d.shows("the run and its branches", "as it began", "lr 0.02 -> 0.5 from step 21")
        await d.press("enter")
        await d.shows("step 40")
        assert d.run.history is elbo
        (branch,) = d.run.branches.values()
        assert (branch.history.last, branch.since) == (27, 20)
        assert [tuned.text for tuned in branch.tunings] == ["lr 0.5"]
        assert d.run.tunings == []
        await d.until(lambda: any("lr .5" in row for row in pane.drawing.rows))


async def test_one_of_several_is_chosen_saved_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with driven("rated") as d:
        await d.ready()
        for rate in ("0.5", "0.1", "0.3"):
            await d.press(*"30n")
            await d.press(*"20N", "t")
            d.explorer.query_one("#line").value = f"lr {rate}"
            await d.press("enter")
        await d.press(*"7n")
        await d.until(lambda: d.run.step == 37)
        await d.press("G")
        await d.shows("3: lr 0.5 -> 0.1 from step 21; lr 0.02 -> 0.5 from step 11")
        await d.press("down", "s")
        await d.shows("branch 2 goes into fake-branches", "in a file")
        await d.press("d")
        await d.until(lambda: set(d.run.branches) == {1, 3})
        await d.press("d")
        await d.shows("remove branch 1? 20 steps will be lost")
        await d.press("n")
        await d.press("up", "enter")
        await d.until(lambda: d.run.step == 50)
        assert set(d.run.branches) == {1, 4}


def test_what_is_kept_goes_by_what_the_engine_says() -> None:
    run = Run()
    run.apply(loaded())
    run.apply(LayoutAdded(LAYOUT))
    run.apply(rows(1, *[[float(i) for i in range(9)]] * 4))
    run.apply(Rewound(4, 1))
    kept = run.branches[1]
    assert (kept.history.last, kept.since, run.step) == (9, 4, 4)
    run.apply(rows(5, *[[1.0, 2.0]] * 4))
    run.apply(Rewound(2))
    run.apply(BranchesListed((BranchInfo(1, 2, 9),)))
    assert run.branches == {1: kept}
    assert (kept.since, run.step) == (2, 2)
    run.apply(BranchSwitched(1, 9, 0))
    assert (run.step, run.branches) == (9, {})
    with pytest.raises(ProtocolError, match="which nobody has seen"):
        run.apply(BranchSwitched(1, 9, 0))


def test_a_label_is_whole_or_not_there() -> None:
    values = np.sin(np.arange(200) / 3.0)
    for width in range(6, 60, 3):
        curve = Curve(values, 1, 200, branches=((values[:150] + 0.1, "lr .02"),))
        text = "\n".join(plot(curve, Axes().covering(curve, 9), width, 9).rows)
        assert ("lr .02" in text) == bool(set("lr") & set(text))


async def test_the_run_and_its_branch_are_kept_and_shown_beside_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened: list[Path] = []

    def folder(path: Path) -> FakeSource:
        opened.append(path)
        return FakeSource(saved_run(0.1, 0), saved_run(0.5, 0), swept=False)

    async with driven("normal") as d:
        d.app._folders = folder
        await d.ready()
        await d.press("T")
        await d.shows("no step has been taken")
        await d.press("9", "n")
        await d.shows("step 9 ")
        await d.press("4", "N", "n")
        await d.shows("step 6 ")
        await d.press("T")
        await d.shows("2 runs · ELBO", "q back")
        assert opened == [tmp_path / "fake-branches"]
        await d.press("enter")
        await d.until(lambda: isinstance(d.app.screen, Explorer) and d.app.screen.session.target)
        assert d.app.screen.session.target == "/runs/lr-0.1_seed-0.run"
        await d.press("escape")
        await d.shows("2 runs · ELBO")
        await d.press("escape")
        await d.shows("step 6 ")


def test_a_file_has_the_name_of_its_steps() -> None:
    run = Run()
    for event in (loaded(), LayoutAdded(LAYOUT), rows(1, *[[0.0] * 9] * 4)):
        run.apply(event)
    name = file_name("coin", run.history, run.settings)
    assert name.startswith("coin-9-")
    assert name == file_name("coin", run.history, run.settings)
    assert name != file_name("coin", run.history, ("Trace_ELBO", "Adam, lr 0.5"))
