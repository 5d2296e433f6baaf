"""The table of sites: what `format_shapes` would tell, where there is room for it."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven
from tui_elbo.model.records import SiteInfo
from tui_elbo.ui.panes.sites import SitesPane, more_text, shape_text


async def test_plates_scale_and_mask_where_there_is_room():
    async with driven("plates", (160, 30)) as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ", "plates", "scale", "masked")
        [line] = [line for line in d.lines() if "● x" in line]
        words = line.split("● x")[1].replace("│", " ").split()
        assert words[:6] == ["Normal", "100", "10", "outer", "data", "50"]
        assert words[6:] == ["7", "-6.74044", "·"]


async def test_at_80_columns_the_terms_come_first():
    async with driven("plates") as d:
        await d.ready()
        await d.press("n", "v")
        await d.shows("step 1 ", "log q", "-6.74044")
        assert "masked" not in d.text()
        d.explorer.query_one(SitesPane).focus()
        await d.press("z")
        await d.shows("plates", "scale", "masked", "outer data")


async def test_steps_that_a_rewind_took_away_have_no_terms():
    """A pane that is hidden is not brought up to date, and drawn all the same."""
    async with driven("plates") as d:
        await d.ready()
        await d.press("n", "v")
        await d.shows("step 1 ", "log q", "-6.74044")
        pane = d.explorer.query_one(SitesPane)
        pane.show(d.explorer.session.run.history, 1)
        d.explorer.session.run.history.forget_after(0)
        pane.paint()
        assert "-6.74044" not in "".join(
            text for line in pane.lines_of(0, True) for text, _ in line
        )


@pytest.mark.parametrize(
    ("scale", "masked", "texts"),
    [(1.0, 0, ("", "")), (float("nan"), 3, ("varies", "3")), (0.1, 0, ("0.1", ""))],
)
def test_what_goes_without_saying_is_not_said(scale, masked, texts):
    site = SiteInfo("x", True, "Normal", (3,), (2,), plates=("a",), scale=scale, masked=masked)
    assert (more_text(site, "scale"), more_text(site, "masked")) == texts
    assert more_text(site, "plates") == "a"
    assert shape_text(site) == "3|2"
