"""Exports: the clipboard, pictures, numbers, draws."""

from __future__ import annotations

import csv
import io
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from tests.ui.driving import driven
from tui_elbo.model.records import Column
from tui_elbo.ui.actions import export


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export, "has_arviz", lambda: False)
    return tmp_path


def copied(d, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the clipboard from now on."""
    texts: list[str] = []
    monkeypatch.setattr(d.app, "copy_to_clipboard", texts.append)
    return texts


async def test_c_copies_the_focused_table_whole(monkeypatch):
    async with driven("normal") as d:
        await d.ready()
        await d.press("3", "n")
        await d.shows("step 3 ")
        texts = copied(d, monkeypatch)
        d.explorer.set_focus(d.explorer.panes.params)
        await d.press("c")
        [text] = texts
        lines = text.splitlines()
        assert lines[0].split()[:2] == ["name", "value"]
        assert len(lines) > d.explorer.panes.params.count()
        assert "copied, if this terminal lets programs copy" in d.text()


async def test_c_copies_the_numbers_of_the_step_that_is_shown(monkeypatch):
    async with driven("normal") as d:
        await d.ready()
        await d.press("5", "n")
        await d.shows("step 5 ")
        texts = copied(d, monkeypatch)
        d.explorer.set_focus(None)
        await d.press("comma", "comma", "c")
        elbo = d.run.history.values(Column("step", "", "elbo"))[2]
        assert texts[0].split("\t")[:2] == ["step 3", f"elbo {float(elbo)!r}"]


async def test_what_is_too_long_is_not_copied(monkeypatch):
    monkeypatch.setattr(export, "MOST_COPIED", 10)
    async with driven("normal") as d:
        await d.ready()
        await d.press("n")
        await d.shows("step 1 ")
        texts = copied(d, monkeypatch)
        await d.press("c")
        assert texts == []
        assert "too long to copy" in d.text()


async def test_the_clipboard_is_the_terminals_by_osc_52(monkeypatch):
    async with driven("normal") as d:
        await d.ready()
        sent: list[str] = []
        monkeypatch.setattr(d.app._driver, "write", sent.append)
        await d.press("c")
        assert re.fullmatch("\x1b]52;c;[A-Za-z0-9+/=]+\x07", sent[0])


async def test_s_saves_the_screen(folder):
    async with driven("normal") as d:
        await d.ready()
        await d.press("2", "n")
        await d.shows("step 2 ")
        await d.press("S")
        assert "saved fake-2.svg" in d.text()
        picture = (folder / "fake-2.svg").read_text("utf-8")
        assert picture.startswith("<svg")
        assert "ELBO" in picture
        await d.press("S")
        assert "saved fake-2-2.svg" in d.text()


async def test_x_writes_every_number(folder):
    async with driven("normal") as d:
        await d.ready()
        await d.press("x")
        assert "there is no step yet: n takes one" in d.text()
        await d.press("7", "n")
        await d.shows("step 7 ")
        await d.press("x")
        assert "saved fake-7.csv" in d.text()
        text = (folder / "fake-7.csv").read_text("utf-8")
        rows = list(csv.DictReader(io.StringIO(text)))
        assert [row["step"] for row in rows] == [str(step) for step in range(1, 8)]
        elbo = d.run.history.values(Column("step", "", "elbo"))
        assert [float(row["elbo"]) for row in rows] == elbo.tolist()
        assert d.explorer.exported == 7


async def test_a_full_disk_is_reported_and_leaves_no_half_file(folder, monkeypatch):
    def full(history, path: Path) -> None:
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_csv", full)
    async with driven("normal") as d:
        await d.ready()
        await d.press("2", "n")
        await d.shows("step 2 ")
        await d.press("x")
        assert "fake-2.csv cannot be written: No space left on device" in d.text()
        assert list(folder.iterdir()) == []
        assert d.explorer.exported == 0


async def test_with_arviz_draws_of_the_guide_are_written_too(folder, monkeypatch):
    kept: dict[str, np.ndarray] = {}

    class Data:
        def to_netcdf(self, path: str) -> None:
            Path(path).write_text("draws")

    def from_dict(posterior: dict[str, np.ndarray]) -> Data:
        kept.update(posterior)
        return Data()

    monkeypatch.setattr(export, "has_arviz", lambda: True)
    monkeypatch.setitem(sys.modules, "arviz", types.SimpleNamespace(from_dict=from_dict))
    async with driven("normal") as d:
        await d.ready()
        await d.press("4", "n")
        await d.shows("step 4 ")
        await d.press("x")
        await d.shows("saved fake-4.nc")
        assert kept["z"].shape == (1, 1000, 2)
        assert kept["z"].reshape(-1).tolist() == list(range(2000))
        assert {path.name for path in folder.iterdir()} == {"fake-4.csv", "fake-4.nc"}


def test_newer_arviz_takes_groups():
    seen = []

    def from_dict(groups=None, **others):
        if others:
            raise TypeError("unexpected keyword argument")
        seen.append(groups)
        return groups

    export._inference_data(types.SimpleNamespace(from_dict=from_dict), {"z": 1})
    assert seen == [{"posterior": {"z": 1}}]


@pytest.mark.parametrize(
    ("name", "want"), [("a b/c.py", "a-b-c-3"), ("..", "run-3"), ("[red]\x1b", "red-3")]
)
def test_names_of_files_are_plain(name, want):
    assert export.stem(name, 3) == want
