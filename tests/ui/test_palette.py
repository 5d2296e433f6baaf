"""Everything by name."""

from __future__ import annotations

from tests.ui.driving import driven
from tui_elbo.ui.keys import KEYS


async def test_the_palette_does_what_a_key_does():
    async with driven("normal") as d:
        await d.ready()
        await d.press("ctrl+p", *"a count before")
        await d.until(lambda: "key: N" not in d.text() and "key: n" in d.text())
        await d.press("enter")
        await d.until(lambda: d.run.step == 1)


async def test_everything_with_a_key_is_there():
    async with driven("normal") as d:
        await d.ready()
        names = {command.title for command in d.app.get_system_commands(d.app.screen)}
        for key in KEYS:
            assert (key.help in names) == (key.do is not None and key.by_name)
        assert "save the run in a file, to go on from another time" in names
        assert "theme" in names


async def test_the_gallery_has_the_themes():
    async with driven("normal", target=None) as d:
        await d.press("ctrl+p", *"theme")
        await d.until(lambda: "leave the" not in d.text() and "colours, for" in d.text())
        await d.press("enter")
        await d.shows("dracula")
        await d.press(*"ansi-light")
        await d.until(lambda: "dracula" not in d.text() and "ansi-light" in d.text())
        await d.press("enter")
        await d.until(lambda: d.app.theme == "ansi-light")


async def test_with_ascii_the_palette_is_drawn_in_ascii():
    async with driven("normal", ascii=True) as d:
        await d.ready()
        await d.press("ctrl+p")
        await d.shows("key: E")
        assert d.text().isascii(), d.text()
