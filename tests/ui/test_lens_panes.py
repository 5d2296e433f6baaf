"""The posterior and the running totals: what they show, as functions of what the lens has seen."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ui.driving import driven
from tests.ui.fake_numbers import layout, numbers
from tests.ui.test_lens import sighting, stepped
from tui_elbo.client.run_state import Run
from tui_elbo.client.spans import SpanChoice, unseen
from tui_elbo.model.attribution import SUM_TERMS, AttributionPath, no_samples
from tui_elbo.model.estimate import Moments
from tui_elbo.model.records import Batch
from tui_elbo.ui.panes.posterior import PosteriorPane, _pairs
from tui_elbo.ui.panes.totals import Series, several, totals
from tui_elbo.ui.plot.cell_grid import BAND, PHI, THETA, Look
from tui_elbo.ui.plot.curve import Curve
from tui_elbo.ui.plot.plotting import Axes
from tui_elbo.ui.plot.run_curves import bridged

LETTERS = {"phi": "φ", "theta": "θ", "draw": "d"}


def run_of(steps: int, states: list[int]) -> Run:
    """A run of the fake engine, of which the lens has seen some states."""
    run, path, shape = Run(), AttributionPath(), layout()
    values = np.array([numbers(shape, step) for step in range(1, steps + 1)]).T
    run.history.append(Batch(shape, 1, values))
    for state in states:
        run.lens_history.add(sighting(state, path))
    return run


@pytest.mark.parametrize("term", SUM_TERMS[:3], ids=lambda term: term.field)
def test_totals_add_up_to_what_was_observed_where_the_lens_has_looked(term: object) -> None:
    run = run_of(40, [0, 3, 10, 25, 39])
    found = {one.who: one.values for one in totals(run, term)}  # type: ignore[arg-type]
    assert set(found) == {"phi", "draw"}
    told = [getattr(run.history.record(step), term.field) for step in range(1, 41)]  # type: ignore[attr-defined,union-attr]
    for state in (0, 3, 10, 25, 39):
        moved = found["phi"][state] + found["draw"][state]
        assert moved == pytest.approx(told[state] - told[0], abs=1e-12)
    assert found["phi"][5] == pytest.approx(
        found["phi"][3] + (found["phi"][10] - found["phi"][3]) * 2 / 7
    )


def test_the_bright_line_is_the_lens_and_does_not_lead_straight_over_much() -> None:
    raw = np.arange(100.0) ** 2
    values = np.full(100, np.nan)
    values[[0, 4, 99]] = [1.0, 2.0, 3.0]
    known = np.flatnonzero(np.isfinite(values))
    line = bridged(values, known, raw, 10)
    assert line[[0, 4, 99]].tolist() == [1.0, 2.0, 3.0]
    added = np.setdiff1d(np.flatnonzero(np.isfinite(line)), known)
    assert (np.diff([4, *added, 99]) <= 10).all()
    for at in added:
        # The mean of the ten about it, which lie within half a step of it on average.
        assert line[at] == pytest.approx(raw[at], abs=10 + at)
    assert bridged(values, known, raw, 95) is values
    huge = bridged(values, known, np.full_like(raw, 1.7e308), 10)
    assert np.nanmax(huge) == pytest.approx(1.7e308)
    assert bridged(values, known, np.empty(0), 10) is values


def test_without_a_look_there_are_no_totals() -> None:
    assert totals(run_of(5, []), SUM_TERMS[0]) == []


def test_each_curve_has_its_ink_and_its_letter() -> None:
    series = [
        Series("phi", np.linspace(0.0, 8.0, 20)),
        Series("theta", np.linspace(0.0, 4.0, 20)),
        Series("draw", np.zeros(20)),
    ]
    axes = Axes().covering(Curve(np.linspace(0.0, 8.0, 24), 1, 24), 9)
    drawing = several(series, axes, (50, 9), LETTERS, look=Look(ascii=True))
    rows = [row for row in drawing.rows if "φ" in row or "θ" in row or "d" in row[8:]]
    assert [next(c for c in row if c in "φθd") for row in rows] == ["φ", "θ", "d"]
    used = set("".join(drawing.styles))
    assert {PHI, THETA, BAND} <= used
    again = several(series, axes, (50, 9), LETTERS, look=Look())
    assert all(len(row) == 50 for row in again.rows)


@pytest.mark.parametrize("size", [(1, 1), (5, 2), (0, 0), (30, 1)])
def test_totals_can_be_drawn_in_any_size(size: tuple[int, int]) -> None:
    series = [Series("phi", np.linspace(0.0, 8.0, 20))]
    drawing = several(series, Axes(), size, LETTERS, look=Look(axis=True))
    assert drawing.size in (size, (0, 0))


@pytest.mark.parametrize(
    "reference",
    [None, 3.0, "ab", [1.0], [1.0, "x"], [[1.0, 2.0], [1.0]], [1.0, None, 2.0], {"a": 1}],
)
def test_a_reference_that_is_none_is_left_out(reference: object) -> None:
    assert _pairs(reference, 1) == [None]


def test_a_reference_may_be_of_any_shape() -> None:
    assert _pairs([[[1.0, 2.0]], [[0.5, 0.25]]], 2) == [(1.0, 0.5), (2.0, 0.25)]


async def test_the_posterior_is_that_of_the_step_looked_at():
    async with driven("normal") as d:
        await stepped(d, 50)
        await d.press("v", "v")
        await d.shows("posterior ── after 50", "0.771±0.002", "0.385±0.002")
        await d.press("2", "0", "comma")
        await d.shows("posterior ── after 30", "0.622±0.002", "0.311±0.001")


async def test_the_totals_take_turns():
    async with driven("normal") as d:
        await stepped(d, 50)
        await d.press("v", "v", "v")
        await d.shows("what moved log p · φ · draw")
        d.explorer.query_one("#totals").focus()
        await d.press("enter")
        await d.shows("what moved log q · φ · draw")
        await d.press("enter")
        await d.shows("what moved ELBO · φ · draw")


@pytest.mark.slow
async def test_ascii_has_nothing_else():
    async with driven("normal", (140, 40), ascii=True) as d:
        await stepped(d, 5)
        for _ in range(6):
            await d.press("v")
            await d.pilot.pause()
            assert d.text().isascii(), d.text()
        await d.press("k")
        await d.shows("khat 0.45")
        await d.press("p")
        await d.shows("change by parameter and site", "snr")
        assert d.text().isascii(), d.text()


def test_what_nobody_looked_at_is_no_luck_of_the_draw() -> None:
    """As of a script whose first steps have seen the same data by chance, and the next have not."""
    run, why = run_of(5, [0, 1]), "The steps are called with other data each time"
    run.lens_history.add(AttributionPath().extend(3, no_samples(), (), note=why))
    assert SpanChoice().span(run, None) is None
    assert unseen(run, 5) == why


@pytest.mark.parametrize(("width", "whole"), [(56, True), (54, False)])
def test_names_of_latents_are_whole_where_the_errors_leave_room(width, whole, monkeypatch) -> None:
    pane = PosteriorPane()
    monkeypatch.setattr(pane, "paint", lambda: None)
    monkeypatch.setattr(pane, "replan", lambda: pane.plan(width))
    pane.show({"theta": Moments(*np.full((4, 8), 0.01))}, {"theta": (np.ones(8), np.ones(8))})
    (line,) = pane.lines_of(0, True)
    text = "".join(part for part, _ in line)
    assert text.startswith("theta[0] ") == whole
    assert "0.01±0.01" in text
    assert len(text) <= width
