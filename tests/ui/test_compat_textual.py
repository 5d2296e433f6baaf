"""Textual has the private parts that are used, and the terminal shows what Textual draws."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import pytest
import textual
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers.headless_driver import HeadlessDriver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.geometry import Size

import tui_elbo.ui
from tests.ui.driving import Driven, driven
from tests.ui.emulator import Emulator
from tui_elbo.ui.compat.textual import PRIVATE, SETTLED

VERSION = f"Textual {textual.__version__}"
LACKS = f"{VERSION} lacks this: adapt tui_elbo/ui/compat/textual.py"


@pytest.mark.parametrize("name", PRIVATE)
def test_this_version_of_textual_has(name: str) -> None:
    module, _, path = name.partition(":")
    owner, _, attribute = path.partition(".")
    try:
        found = getattr(import_module(module), owner)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{LACKS}: {error}")
    assert hasattr(found, attribute) or f"self.{attribute}" in inspect.getsource(found), LACKS


@pytest.mark.parametrize(
    ("called", "parameters"),
    [
        (App._display, ["self", "screen", "renderable"]),
        (LayoutUpdate.__init__, ["self", "strips", "region"]),
        (ChopsUpdate.__init__, ["self", "chops", "spans", "chop_ends"]),
        (ChopsUpdate.render_segments, ["self", "console"]),
        (XTermParser.feed, ["self", "data"]),
        (XTermParser.tick, ["self"]),
        (LinuxDriver.run_input_thread, ["self"]),
    ],
)
def test_its_private_parts_take_the_same(
    called: Callable[..., object], parameters: list[str]
) -> None:
    assert list(inspect.signature(called).parameters) == parameters, LACKS


def test_no_other_file_uses_private_parts() -> None:
    """Neither those of Textual nor of another object: a leading underscore is for `self` alone."""
    [folder] = tui_elbo.ui.__path__
    for path in Path(folder).rglob("*.py"):
        if path.parent.name == "compat":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("textual._"), path
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                assert node.attr.startswith("__") or ast.unparse(node.value) == "self", (
                    f"{path}:{node.lineno}"
                )


def test_no_class_of_ours_hides_a_private_part_of_textual() -> None:
    known = {
        name
        for module in ("app", "dom", "message_pump", "screen", "widget")
        for name in re.findall(
            r"(?:self\.|def )(_[a-z]\w*)", inspect.getsource(import_module(f"textual.{module}"))
        )
    }
    [folder] = tui_elbo.ui.__path__
    for path in [*Path(folder, "widgets").rglob("*.py"), *Path(folder, "panes").rglob("*.py")]:
        ours = set(re.findall(r"self\.(_[a-z]\w*)", path.read_text(encoding="utf-8")))
        assert not ours & known, path


@asynccontextmanager
async def shown(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], behaviour: str = "normal"
) -> AsyncIterator[tuple[Driven, Emulator]]:
    """The program, and a terminal that shows what it sends."""
    emulator = Emulator(*size)
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)
    monkeypatch.setattr(HeadlessDriver, "write", lambda _driver, text: emulator.draw(text))
    async with driven(behaviour, size) as d:
        yield d, emulator


async def same(d: Driven, emulator: Emulator) -> None:
    """The terminal comes to show what Textual draws."""
    await d.until(lambda: emulator.lines() == d.lines())


KEYS = """
    n n 5 n , , . space space question_mark escape tab p escape e escape o escape ctrl+p escape
    3 N enter escape tab enter escape z z slash x escape v y k escape
"""


@pytest.mark.parametrize(
    "size",
    [
        (80, 24),
        pytest.param((120, 40), marks=pytest.mark.slow),
        pytest.param((200, 50), marks=pytest.mark.slow),
    ],
)
async def test_the_terminal_shows_what_textual_draws(monkeypatch, size) -> None:
    async with shown(monkeypatch, size) as (d, emulator):
        await d.ready()
        for key in KEYS.split():
            await d.press(key)
            await same(d, emulator)


async def test_another_size_is_drawn_whole(monkeypatch) -> None:
    async with shown(monkeypatch, (80, 24)) as (d, emulator):
        await d.ready()
        await d.press("5", "n")
        for width, height in [(120, 40), (61, 18), (40, 10), (200, 50), (80, 24)]:
            emulator.screen.resize(height, width)
            emulator.screen.erase_in_display(2)
            await d.pilot.resize_terminal(width, height)
            await same(d, emulator)


async def test_a_size_that_came_late_does_not_stay(monkeypatch) -> None:
    """A signal can interrupt the handler of the one before it: then the older size comes last."""
    async with shown(monkeypatch, (80, 24)) as (d, emulator):
        await d.ready()
        d.app.post_message(Resize(Size(10, 3), Size(10, 3)))
        await d.pilot.pause(3 * SETTLED)
        assert d.app.size == d.app.screen.size == Size(80, 24)
        await same(d, emulator)


async def test_a_terminal_that_lost_its_cells_is_drawn_again(monkeypatch) -> None:
    """As after a suspension, or if its size went there and back: Textual would draw nothing."""
    async with shown(monkeypatch, (80, 24)) as (d, emulator):
        await d.ready()
        emulator.screen.erase_in_display(2)
        await d.pilot.resize_terminal(80, 24)
        await same(d, emulator)


async def test_a_frame_in_which_nothing_changed_sends_nothing(monkeypatch) -> None:
    async with shown(monkeypatch, (80, 24)) as (d, emulator):
        await d.ready()
        await d.press("5", "n")
        await same(d, emulator)
        await d.pilot.pause(0.3)
        before = emulator.bytes
        d.app.screen.refresh()
        d.app.screen.refresh(layout=True)
        await d.pilot.pause(0.3)
        assert emulator.bytes == before
