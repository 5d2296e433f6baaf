"""A handful of pictures: what colours say, which the text goldens do not see."""

from __future__ import annotations

import pytest

from tests.ui.driving import driven


@pytest.mark.parametrize("theme", ["ansi-dark", "textual-light"])
async def test_fifty_steps_with_one_of_them_looked_at(theme):
    async with driven("normal", (100, 30)) as d:
        d.app.theme = theme
        await d.ready()
        await d.press("5", "0", "n")
        await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
        await d.shows("step 50 ")
        await d.press("1", "2", "comma")
        await d.shows("look 38 ")
        await d.snapshot(f"looking_{theme}")


async def test_a_failed_step():
    async with driven("fails") as d:
        await d.ready()
        await d.press("9", "n")
        await d.shows("step 7 failed", "step 6 ")
        await d.snapshot("failed")


async def test_a_parameter():
    async with driven("vectors", (100, 40)) as d:
        await d.ready()
        await d.press("5", "0", "n")
        await d.until(lambda: d.run.step == 50 and d.run.level.state == "paused")
        d.explorer.panes.params.focus()
        await d.press("enter")
        await d.shows("gradient as the optimiser")
        await d.snapshot("parameter")
