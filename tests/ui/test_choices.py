"""`E` shows the noise of each estimator, `t scan` other learning rates; enter goes on with one."""

from __future__ import annotations

from tests.ui.driving import driven


async def test_the_noise_is_shown_with_its_advice_and_enter_tunes() -> None:
    async with driven("normal") as it:
        await it.shows("paused")
        await it.press("3", "n")
        await it.shows("step 3")
        await it.press("E")
        await it.shows("gradient noise at step 3", "8.00 × less time")
        await it.shows("[red]it does not fit", "parameter", "0.100", "3 rounds")
        await it.press("enter")
        await it.shows("this row changes nothing")
        await it.press("down")
        await it.shows("0.0200")
        await it.press("enter")
        await it.shows("from the next step on: 10 particles, vectorised, TraceMeanField_ELBO")


async def test_escape_leaves_and_the_table_of_the_step_is_kept() -> None:
    async with driven("normal") as it:
        await it.shows("paused")
        await it.press("E")
        await it.shows("gradient noise at step 0")
        await it.press("escape")
        await it.until(lambda: "gradient noise" not in it.text())
        await it.press("E")
        await it.shows("gradient noise at step 0")
        await it.press("E")
        await it.until(lambda: "gradient noise" not in it.text())


async def test_t_scan_offers_the_best_rate() -> None:
    async with driven("normal") as it:
        await it.shows("paused")
        await it.press("3", "n")
        await it.shows("step 3")
        await it.press("t", "s", "c", "a", "n", "enter")
        await it.shows("lr 0.2: 2.5 ± 0.1 nats more", "in the next 100")
        await it.press("down", "enter")
        await it.shows("from the next step on: lr 0.2")
