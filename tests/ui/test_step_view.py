"""Stepping into a step: paged through, kept, or taken back."""

from __future__ import annotations

from tests.ui.driving import driven


async def test_a_step_is_paged_through_and_rewound_or_kept() -> None:
    async with driven("normal") as d:
        await d.ready()
        await d.press("s")
        await d.shows("step 1: 1 of 2", "the guide draws [red]z", "log q = -1", "▶  12      z = ")
        await d.press("n", "n")
        await d.shows("step 1: 2 of 2", "the loss", "loss 3.5 nats", "not on a line")
        await d.press("N")
        await d.shows("step 1: 1 of 2")
        await d.press("escape")
        await d.shows("step 0", "space runs")
        assert (d.run.step, d.run.branches) == (0, {})
        await d.press("s")
        await d.shows("step 1: 1 of 2")
        await d.press("enter")
        await d.shows(" step 1 ", "elbo")
        assert d.run.step == 1
        await d.press("n")
        await d.shows(" step 2 ")
