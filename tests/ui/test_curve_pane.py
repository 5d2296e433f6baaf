"""The pane sends what changed, shows names as they are, and survives every size."""

from __future__ import annotations

import numpy as np
import pytest
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from tui_elbo.ui.panes.curve import CurvePane

VALUES = -6 - 24 * np.exp(-np.arange(2000) / 150) + np.sin(np.arange(2000) * 12.9898)


class OnePane(App[None]):
    """A pane of the whole screen."""

    def __init__(self, **options: bool) -> None:
        super().__init__()
        self.pane = CurvePane("ELBO", id="elbo", **options)

    def compose(self) -> ComposeResult:
        yield self.pane


def screen(app: App[None]) -> list[str]:
    """What the pane draws, as the terminal would show it."""
    pane = app.query_one(CurvePane)
    width, height = pane.size
    assert all(pane.render_line(y).cell_length == width for y in range(height))
    return [pane.render_line(y).text.rstrip() for y in range(height)]


@pytest.fixture
def refreshed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Region, ...]]:
    """The regions of every refresh of a pane since."""
    calls: list[tuple[Region, ...]] = []
    refresh = Widget.refresh

    def spy(self: Widget, *regions: Region, **options: bool) -> Widget:
        if isinstance(self, CurvePane):
            calls.append(regions)
        return refresh(self, *regions, **options)

    monkeypatch.setattr(Widget, "refresh", spy)
    return calls


async def test_shows_the_drawing():
    app = OnePane(axis=True)
    async with app.run_test(size=(40, 8)) as pilot:
        app.pane.show(VALUES, 1, 400, (("log p(x)", -5.73),))
        await pilot.pause()
        assert screen(app) == [row.rstrip() for row in app.pane.drawing.rows]
        assert "step 0" in screen(app)[-1]
        assert str(app.pane.border_title) == "ELBO · log p(x) ┈┈┈"


async def test_a_step_refreshes_only_the_rows_that_changed(refreshed):
    app = OnePane()
    async with app.run_test(size=(60, 14)) as pilot:
        app.pane.show(VALUES, 1, 400)
        await pilot.pause()
        for last in range(401, 440):
            refreshed.clear()
            before = app.pane.drawing
            app.pane.show(VALUES, 1, last)
            after = app.pane.drawing
            rows = zip(before.rows, before.styles, after.rows, after.styles, strict=True)
            changed = [y for y, row in enumerate(rows) if row[:2] != row[2:]]
            assert len(changed) < len(after.rows)
            assert refreshed == [tuple(Region(0, y, 58, 1) for y in changed)] * bool(changed)


async def test_nothing_new_refreshes_nothing(refreshed):
    app = OnePane()
    async with app.run_test(size=(60, 14)) as pilot:
        app.pane.show(VALUES, 1, 400, cursor=3, note="mean of 4")
        await pilot.pause()
        refreshed.clear()
        app.pane.show(VALUES, 1, 400, cursor=3, note="mean of 4")
        await pilot.pause()
        assert refreshed == []


async def test_steps_by_hand_are_all_drawn():
    app = OnePane()
    async with app.run_test(size=(60, 14)) as pilot:
        await pilot.pause()
        for last in range(1, 40):
            before = app.pane.drawing
            app.pane.show(VALUES, 1, last)
            assert app.pane.drawing is not before


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 2), (3, 3), (4, 4), (8, 4), (12, 3), (23, 5), (300, 100)]
)
async def test_every_size(size):
    app = OnePane(axis=True)
    async with app.run_test(size=size) as pilot:
        app.pane.show(VALUES, 1, 500, (("log p(x)", -5.73),), 40)
        await pilot.pause()
        assert screen(app) == [row.rstrip() for row in app.pane.drawing.rows]


async def test_resizing_draws_anew():
    app = OnePane()
    async with app.run_test(size=(40, 10)) as pilot:
        app.pane.show(VALUES, 1, 500)
        for size in ((30, 10), (80, 24), (10, 3), (120, 40), (60, 18)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert app.pane.drawing.size == app.pane.size
            assert screen(app) == [row.rstrip() for row in app.pane.drawing.rows]


async def test_names_are_data():
    app = OnePane()
    async with app.run_test(size=(60, 10)) as pilot:
        app.pane.title = "[red]loss[/]\n\x1b[31m"
        app.pane.show(VALUES, 1, 10, (("[b]log p", -6.0),), note="\x1b]0;x\x07")
        await pilot.pause()
        top = "".join(s.text for s in app.pane.render_lines(Region(0, 0, 60, 1))[0])
        assert "[red]loss[/]\\n\\x1b[31m" in top
        assert "\x1b" not in top
        assert "[b]log p" in top


async def test_the_y_range_is_in_the_title():
    app = OnePane(ascii=True)
    async with app.run_test(size=(60, 10)) as pilot:
        app.pane.show(VALUES, 1, 10)
        await pilot.pause()
        app.pane.mode = "log"
        assert str(app.pane.border_title) == "ELBO (y: log)"
        app.pane.mode = "robust"
        assert str(app.pane.border_title) == "ELBO"
        assert all(row.isascii() for row in app.pane.drawing.rows)


async def test_a_theme_changes_the_colours_but_not_what_separates_band_from_mean():
    app = OnePane()
    async with app.run_test(size=(60, 10)) as pilot:
        app.pane.show(VALUES, 1, 500)
        seen = set()
        for theme in ("textual-dark", "textual-light", "ansi-dark", "ansi-light", "textual-dark"):
            app.theme = theme
            await pilot.pause()
            blank, band, mean = (app.pane.style_of(ink) for ink in " bm")
            assert band.dim
            assert mean.bold
            assert (blank.bgcolor is None) == theme.startswith("ansi")
            seen.add((band.color, band.bgcolor))
        assert len(seen) == 3


async def test_a_new_title_is_shown(refreshed):
    app = OnePane()
    async with app.run_test(size=(60, 10)) as pilot:
        app.pane.show(VALUES, 1, 500)
        await pilot.pause()
        for _ in range(2):
            app.pane.show(VALUES, 1, 500, note="loss 5.7")
        assert refreshed[-1:] == [()]
        await pilot.pause()
        top = "".join(s.text for s in app.pane.render_lines(Region(0, 0, 60, 1))[0])
        assert "ELBO · loss 5.7" in top
