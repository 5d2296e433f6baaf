"""The gallery: choose, look, open; and a line for a file of one's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ui.driving import driven
from tui_elbo.model.scenarios import GalleryEntry


@pytest.fixture(autouse=True)
def entries(monkeypatch) -> None:
    made = [
        GalleryEntry(
            f"name_{i}",
            f"[b]Title {i}",
            f"*Summary* `{i}` " + "word " * 90,
            Path("x.py"),
            "The question" if i < 3 else "Trouble",
        )
        for i in range(30)
    ]
    monkeypatch.setattr("tui_elbo.ui.gallery.gallery", lambda: made)


async def test_lists_titles_and_what_the_chosen_one_is_about():
    async with driven("normal", target=None) as d:
        await d.shows("name_0", "[b]Title 5", "Summary 0")
        await d.golden("gallery_80x24")
        await d.press("down", "down", "up")
        await d.shows("Summary 1")
        for _ in range(40):
            await d.press("down")
        await d.shows("name_29", "Summary 29")


async def test_enter_opens():
    async with driven("normal", target=None) as d:
        await d.shows("name_0")
        await d.press("down", "enter")
        await d.ready()
        assert d.explorer.session.target == "name_1"


async def test_a_path_opens(tmp_path):
    file = tmp_path / "q.py"
    file.write_text("")
    async with driven("normal", target=None) as d:
        await d.shows("name_0")
        await d.press("tab", *"nothere", "enter")
        await d.shows("nothere: there is no scenario of this name")
        d.app.screen.query_one("#path").value = str(file)
        await d.press("enter")
        await d.ready()
        assert d.explorer.session.target == str(file)


async def test_what_is_typed_is_seen():
    async with driven("normal", target=None) as d:
        await d.shows("name_0")
        await d.press("slash")
        await d.shows("words to search for")
        await d.press(*"itle")
        await d.until(lambda: any(line.strip() == "itle" for line in d.lines()))
        await d.press("escape", "tab", *"my_own")
        await d.until(lambda: any(line.strip() == "my_own" for line in d.lines()))


@pytest.mark.parametrize("keys", [["q"], ["escape"], ["tab", "q", "escape", "ctrl+c", "q"]])
async def test_leaves(keys):
    async with driven("normal", target=None) as d:
        await d.shows("name_0")
        await d.press(*keys)
        await d.until(lambda: not d.app.is_running)
    assert d.app.return_code == 0


@pytest.mark.parametrize("size", [(80, 24), (30, 8), (10, 3), (200, 60)])
async def test_any_size(size):
    async with driven("normal", size, target=None) as d:
        await d.shows("elbo-tui")
        await d.press("down", "tab")


async def test_escape_leads_back_and_another_engine_warms_up():
    async with driven("normal", target=None) as d:
        await d.shows("name_0")
        await d.press("enter")
        await d.ready()
        first = d.explorer.session.connection.engine.process
        await d.press("3", "escape", "n")
        await d.until(lambda: d.run.step == 1)
        await d.press("escape")
        await d.shows("back to the gallery? 1 step will be lost")
        await d.press("y")
        await d.shows("name_0")
        assert first.returncode is not None
        await d.press("down", "enter")
        await d.ready()
        assert d.explorer.session.target == "name_1"


async def test_groups_pages_search_and_help():
    async with driven("normal", target=None) as d:
        await d.shows("The question", "name_0", "Trouble")
        await d.press("pagedown")
        await d.shows("Summary 10")
        await d.press("end")
        await d.shows("Summary 29")
        await d.press("home")
        await d.shows("Summary 0", "The question")
        await d.press("question_mark")
        await d.shows("open the scenario under the cursor")
        await d.press("question_mark", "w")
        await d.shows("w has no use here: ? lists the keys")
        await d.press("slash", *"TITLE 17")
        await d.until(lambda: "name_17" in d.text() and "name_16" not in d.text())
        await d.press("enter")
        await d.shows("only those that have 'TITLE 17'; escape shows all")
        await d.press("escape")
        await d.shows("name_0", "name_2")
        await d.press("slash", *"qqq")
        await d.shows("nothing has 'qqq' in its name, title or summary")
        await d.press("escape", "slash", *"name_17", "enter", "enter")
        await d.ready()
        assert d.explorer.session.target == "name_17"
