"""While the line has not taken what was drawn, nothing more is drawn."""

from __future__ import annotations

from tests.ui.driving import driven


async def test_frames_are_skipped_while_output_waits():
    async with driven("normal") as d:
        await d.ready()
        d.app._driver.output_waiting = True
        await d.press("7", "n")
        await d.until(lambda: d.run.step == 7)
        drawn = d.explorer._pace.tables
        for _ in range(20):
            await d.pilot.pause(0.01)
        assert d.explorer._pace.tables == drawn
        assert "step 7 " not in d.text()
        d.app._driver.output_waiting = False
        await d.shows("step 7 ")
