"""Flags of a run stay on the status line; each message is shown once."""

from __future__ import annotations

from tests.ui.driving import driven


async def test_a_run_that_is_not_repeatable_stays_marked() -> None:
    async with driven("strays") as it:
        await it.ready()
        await it.press("5", "n")
        await it.shows("step 5")
        assert "not exact" not in it.text()
        await it.press("N")
        await it.shows("step 2, run again, gave loss", "not exact")
        await it.press("n")
        await it.shows("step 6", "not exact")
        assert "run again" not in it.text()


async def test_a_changed_source_is_reported_until_the_next_key_and_marked() -> None:
    async with driven("edited") as it:
        await it.ready()
        await it.press("5", "n")
        await it.shows("step 5")
        await it.press("N")
        await it.shows("step 4", "fake.py changed since the run began", "R reloads it")
        await it.press("n")
        await it.shows("step 5", "edited")
        assert "R reloads it" not in it.text()
