"""The breakdown has every row, the largest first, and a filter narrows them."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven
from tests.ui.test_lens import stepped
from tui_elbo.client.run_state import Run
from tui_elbo.ui.panes.attribution import AttributionPane
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.views.breakdown import breakdown_lines


async def test_parameters_and_sites_are_listed_and_narrowed():
    async with driven("names") as d:
        await stepped(d, 3)
        await d.press("p")
        await d.shows(
            "by parameter and site",
            "from step 0 to 3, by the parameters after each",
            "by parameter, unconstrained: change, and gradients at the end",
            "by site: nats",
            "log p new",
        )
        names = ["[red]a", "b\\nc", "d\\x1b[31me", "scales.theta", "漢字", "f\\u202eg"]
        at = [next(i for i, line in enumerate(d.lines()) if name in line) for name in names]
        assert at == sorted(at), "the largest change comes first"
        # 0.5, then halves and thirds of it; nothing of the noise of log q.
        assert "0.5000" in d.lines()[at[0]]
        assert "exact" in d.lines()[at[0]]
        await d.press("slash", "s", "c", "a", "l", "e", "s")
        await d.until(lambda: "[red]a" not in d.text())
        assert "scales.theta" in d.text()
        await d.press("enter")
        assert "scales.theta" in d.text()
        await d.press("escape")
        await d.shows("[red]a")
        await d.press("p")
        await d.shows("log q(z)")


async def test_enter_in_the_attribution_opens_it_for_their_span():
    async with driven("normal") as d:
        await stepped(d, 5)
        await d.press("a")
        await d.shows("── the last record")
        d.explorer.query_one(AttributionPane).focus()
        await d.press("enter")
        await d.shows(
            "by parameter and site",
            "the last record: from step 3 to 4, by the",
            "change from step 3 to 5",
        )


async def test_without_a_lens_or_a_step_there_is_nobody():
    async with driven("normal", draws=0) as d:
        await d.ready()
        await d.press("p")
        await d.shows("there is no lens")
    async with driven("normal") as d:
        await d.ready()
        await d.press("p")
        await d.shows("The lens has not looked yet")


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_nothing_known_is_one_line(glyphs):
    assert len(list(breakdown_lines(Run(), None, "", 74, glyphs))) == 1


async def test_what_the_filter_hides_is_not_called_lost():
    async with driven("normal") as d:
        await stepped(d, 20)
        await d.press("p")
        await d.shows("snr: that over its")
        await d.press("slash", *"qq", "enter")
        await d.shows("hidden by the filter: the only name has not 'qq' in it")
        assert "nothing is kept" not in d.text()
        await d.press("n")
        await d.shows("n has no use here: arrows scroll, esc closes")
        await d.press("down")
        await d.until(lambda: "no use here" not in d.text())
