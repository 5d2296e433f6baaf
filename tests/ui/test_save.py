"""Save, from the palette: asks for a file, and says where the run is."""

from __future__ import annotations

from pathlib import Path

from tests.ui.driving import driven


async def test_the_run_is_saved_where_the_person_says(tmp_path: Path) -> None:
    async with driven("normal", (200, 40)) as d:
        await d.ready()
        await d.press("5", "n")
        await d.shows("step 5")
        await d.press("ctrl+p")
        await d.shows("what to do")
        await d.press(*"save the run")
        await d.shows("save the run in a file")
        await d.press("enter")
        await d.shows("save as")
        line = d.explorer.query_one("#line")
        assert line.value == "fake.run"
        line.value = ""
        await d.press("enter")
        await d.shows("a file needs a name")
        line.value = str(tmp_path / "x.run")
        await d.press("enter")
        await d.shows(f"saved at step 5: {tmp_path / 'x.run'}")
