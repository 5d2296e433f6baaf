"""Preferences that outlive the program."""

from __future__ import annotations

import os

import pytest

from tests.ui.driving import driven
from tui_elbo.client.preferences import Preferences, PreferenceStore
from tui_elbo.ui.environment import prepare
from tui_elbo.ui.style.theme import THEME

MOVED = "largest movement first"


def test_what_is_kept_is_there_again(tmp_path):
    path = tmp_path / "not" / "yet" / "settings.json"
    PreferenceStore(path).keep(theme="nord", order=MOVED)
    memory = PreferenceStore(path)
    assert memory.settings == Preferences(theme="nord", order=MOVED)
    assert memory.complaint == ""
    assert [one.name for one in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"order": "round"}', b'{"theme": 3}', b'{"theme": "\xff"}']
)
def test_a_corrupt_file_is_put_aside_and_nothing_of_it_lost(tmp_path, data):
    path = tmp_path / "settings.json"
    path.write_bytes(data)
    memory = PreferenceStore(path)
    assert memory.settings == Preferences()
    assert "put aside" in memory.complaint
    assert path.with_name("settings.json.broken").read_bytes() == data
    memory.keep(order=MOVED)
    assert PreferenceStore(path).settings.order == MOVED


def test_a_setting_of_another_version_does_no_harm(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text(
        '{"order": "largest movement first", "table": "posterior", "range": "log", "sound": "loud"}'
    )
    assert PreferenceStore(path).settings == Preferences(order=MOVED)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_no_trouble(tmp_path):
    tmp_path.chmod(0o500)
    memory = PreferenceStore(tmp_path / "settings.json")
    memory.keep(order=MOVED)
    assert memory.settings.order == MOVED


def test_a_folder_in_place_of_the_file_is_put_aside(tmp_path):
    path = tmp_path / "settings.json"
    path.mkdir()
    assert "put aside" in PreferenceStore(path).complaint


@pytest.mark.parametrize(
    ("environ", "chosen", "theme"),
    [
        ({}, "", THEME),
        ({}, "nord", "nord"),
        ({"TEXTUAL_THEME": "dracula"}, "nord", "dracula"),
        ({"NO_COLOR": "1"}, "nord", THEME),
        ({"NO_COLOR": "1"}, "ansi-light", "ansi-light"),
    ],
)
def test_which_theme(environ, chosen, theme):
    prepare(environ, chosen)
    assert environ["TEXTUAL_THEME"] == theme


async def test_theme_and_order_come_back_as_they_were_left(tmp_path):
    path = tmp_path / "settings.json"
    async with driven("normal", memory=PreferenceStore(path)) as d:
        await d.ready()
        await d.press("y", "v", "l")
        d.app.theme = "nord"
        await d.pilot.pause()
        await d.shows("(y: full)")
        assert "what moved it" not in d.text()
    assert PreferenceStore(path).settings == Preferences("nord", MOVED)
    async with driven("normal", memory=PreferenceStore(path)) as d:
        await d.ready()
        # What is shown beside the parameters, and the y range, suit a run and not a person.
        await d.shows("what moved it")
        assert d.explorer.panes.mode == "robust"
        assert "(y:" not in d.text()


async def test_a_corrupt_file_is_reported_on_the_screen(tmp_path):
    path = tmp_path / "settings.json"
    path.write_text("{")
    async with driven("normal", (120, 24), memory=PreferenceStore(path)) as d:
        await d.shows("the settings cannot be read")


async def test_an_unknown_theme_is_no_trouble(monkeypatch):
    monkeypatch.setenv("TEXTUAL_THEME", "of another version")
    async with driven("normal") as d:
        await d.ready()
        assert d.app.theme == THEME
