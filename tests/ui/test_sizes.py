"""Terminals of all sizes, and sizes that change while a run goes on."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from tests.ui.driving import driven


@pytest.mark.parametrize("size", [(60, 18), (79, 23), (119, 40), (180, 24), (300, 100)])
async def test_nothing_is_clipped_and_no_pane_lies_over_another(size):
    async with driven("vectors", size) as d:
        await d.ready()
        await d.press("9", "n")
        await d.until(lambda: d.run.step == 9)
        await d.shows("step 9 ")
        panes = d.explorer.panes
        shown = [pane for pane in panes.children if pane.display]
        covered = [pane.region for pane in shown]
        assert sum(region.area for region in covered) == panes.size.area
        assert not any(a.overlaps(b) for a, b in combinations(covered, 2))
        assert {pane.id for pane in shown} == set(panes.places)
        for pane in shown:
            assert pane.size.width > 0
            assert pane.size.height > 0


@pytest.mark.slow
async def test_a_storm_of_sizes_while_running():
    sizes = random.Random(3)
    async with driven("normal", (120, 40)) as d:
        await d.ready()
        await d.press("space")
        await d.until(lambda: d.run.step > 20)
        for _ in range(15):
            size = sizes.choice([(10, 3), (1, 1), (40, 10), (60, 18), (80, 24), (140, 40)])
            await d.pilot.resize_terminal(*size)
        await d.pilot.resize_terminal(80, 24)
        await d.shows("log p(x, z)", "parameters", "▶ 830/s")
        before = d.run.step
        await d.until(lambda: d.run.step > before)
        await d.press("space")
        await d.shows("paused")
        assert max(map(len, d.lines())) <= 80


@pytest.mark.slow
async def test_down_to_ten_by_three_and_up_again_under_a_view_and_a_question():
    async with driven("vectors", (80, 24)) as d:
        await d.ready()
        await d.press("9", "n")
        await d.until(lambda: d.run.step == 9)
        await d.shows("step 9 ")
        d.explorer.panes.params.focus()
        for key, words in (("enter", "gradient"), ("u", "run until"), ("question_mark", "help")):
            await d.press(key)
            for size in ((10, 3), (100, 30), (10, 3), (80, 24)):
                await d.pilot.resize_terminal(*size)
            await d.shows(words)
            await d.press("escape")
            await d.shows("log q(z)", "step 9 ")
