"""The tour: what to press, what was seen, and on to the next; any other key leaves it."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven
from tui_elbo.model.tour import STOPS
from tui_elbo.ui.gallery import Gallery


@pytest.fixture(autouse=True)
def two_stops(monkeypatch) -> None:
    """The two whose words need no parameter that the fake engine lacks."""
    for module in ("tour", "app"):
        monkeypatch.setattr(f"tui_elbo.ui.{module}.STOPS", STOPS[:2])


async def test_leads_through_all_stops_to_the_rule_and_the_gallery():
    async with driven("normal", target=None, tour=True) as d:
        await d.shows("so there is no θ", "tour 1 of 2: no_theta   f runs it")
        await d.press("enter")
        await d.ready()
        assert d.run.step == 0
        await d.press("f")
        await d.shows("The pane at the right says θ 0", "enter goes on", "step 200")
        await d.golden("tour_80x24")
        await d.press("enter")
        await d.shows("So does SVI always raise log p?", "tour 2 of 2")
        await d.press("f")
        await d.shows("No: the ELBO rose by", "enter the rule")
        await d.press("enter")
        await d.shows("What SVI does", "A hyperprior is better")
        await d.shows("What a Delta guide does", "uncertainty, too.")
        await d.press("escape")
        await d.shows("The question", "no_theta")
        assert isinstance(d.app.screen, Gallery)


async def test_any_other_key_leaves_it_and_does_what_it_always_does():
    async with driven("normal", target=None) as d:
        await d.shows("t tour")
        await d.press("t")
        await d.shows("tour 1 of 2")
        await d.ready()
        await d.press("n")
        await d.until(lambda: d.run.step == 1)
        await d.until(lambda: "tour 1 of 2" not in d.text())
        await d.press("f")
        await d.until(lambda: d.run.step == 200)


async def test_a_key_of_the_tour_that_comes_early_or_twice_does_not_leave_it():
    async with driven("normal", target=None, tour=True) as d:
        await d.shows("tour 1 of 2: no_theta   f runs it")
        await d.ready()
        await d.press("f", "f")
        await d.shows("The pane at the right says θ 0", "enter goes on")
        await d.press("f")
        await d.shows("enter goes on")
        await d.press("enter")
        await d.shows("tour 2 of 2")


async def test_it_can_be_begun_at_any_stop_and_is_left_without_a_question():
    async with driven("normal", target=None, tour=2) as d:
        await d.shows("tour 2 of 2")
        await d.ready()
        await d.press("f")
        await d.shows("enter the rule")
        await d.press("v")
        await d.shows("you left the tour", "`elbo-tui tour 2` comes back")
        await d.press("q")
        await d.until(lambda: d.app.return_code is not None or not d.app.is_running)


async def test_escape_leads_to_the_gallery():
    async with driven("normal", target=None, tour=True) as d:
        await d.shows("tour 1 of 2")
        process = d.explorer.session.connection.engine.process
        await d.press("escape")
        await d.shows("The question", "no_theta")
        await d.until(lambda: process.poll() is not None)


@pytest.mark.parametrize("size", [(60, 18), (30, 8), (200, 60)])
async def test_any_size(size):
    async with driven("normal", size, target=None, tour=True) as d:
        await d.until(lambda: d.run.loaded is not None)
        await d.press("f")
        await d.until(lambda: d.run.step == 200)


async def test_a_run_that_fails_is_no_success():
    async with driven("fails", target=None, tour=True) as d:
        await d.ready()
        await d.press("f")
        await d.shows("This did not go as it should", "step 7 failed")
