"""Drives the program without a terminal, against the fake engine."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tui_elbo.client.session import Options
from tui_elbo.ui.app import ElboApp
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.panes.curve import CurvePane
from tui_elbo.ui.workspace import Source

FAKE = Path(__file__).with_name("fake_engine.py")
GOLDENS = Path(__file__).with_name("goldens")
PATIENCE = 60.0
"""Seconds after which what is waited for will not come. No test that passes waits for it."""


def argv(behaviour: str) -> list[str]:
    """What starts a fake engine."""
    return [sys.executable, str(FAKE), behaviour]


class Driven:
    """A running program and what a test does with it."""

    def __init__(self, app: ElboApp, pilot: Pilot[int]) -> None:
        self.app, self.pilot = app, pilot

    @property
    def explorer(self) -> Explorer:
        [found] = [screen for screen in self.app.screen_stack if isinstance(screen, Explorer)]
        return found

    @property
    def run(self):
        return self.explorer.session.run

    def lines(self) -> list[str]:
        """What the uppermost screen shows, line by line."""
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.lines())

    async def until(self, condition: Callable[[], object]) -> None:
        """Let the program go on until the condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"still not so:\n{self.text()}")
            await self.pilot.pause(0.005)

    async def shows(self, *texts: str) -> None:
        await self.until(lambda: all(text in self.text() for text in texts))

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def ready(self) -> None:
        """The scenario is loaded and stands at step 0."""
        await self.shows("space runs", "paused")

    async def golden(self, name: str, *, curves: bool = False) -> None:
        """The screen comes to be the one kept under this name; UPDATE_GOLDENS=1 keeps it.

        Without `curves`, what is inside the curve panes is left out: other tests look at that.
        """

        def shown() -> str:
            if curves:
                refit(self.explorer)
            return (self.text() if curves else self._without_curves()) + "\n"

        await self._comes_to(GOLDENS / f"{name}.txt", shown)

    async def snapshot(self, name: str) -> None:
        """The picture comes to be the one kept under this name; UPDATE_GOLDENS=1 keeps it."""

        def shown() -> str:
            refit(self.explorer)
            return plain_svg(self.app.export_screenshot(title="elbo-tui"))

        await self._comes_to(GOLDENS / f"{name}.svg", shown)

    async def _comes_to(self, path: Path, shown: Callable[[], str]) -> None:
        """Wait for what is kept: what the lens tells, and its sentence, come a little later."""
        if os.environ.get("UPDATE_GOLDENS"):
            await self.pilot.pause(2.0)
            path.write_text(shown(), encoding="utf-8")
        kept = path.read_text(encoding="utf-8")
        end = time.monotonic() + PATIENCE
        while shown() != kept:
            assert time.monotonic() < end, shown()
            await self.pilot.pause(0.02)

    def _without_curves(self) -> str:
        lines = [list(line) for line in self.lines()]
        for pane in self.app.screen.query(CurvePane):
            inside = pane.content_region
            for y in inside.line_range:
                for x in range(inside.x, min(inside.right, len(lines[y]))):
                    lines[y][x] = " "
        return "\n".join("".join(line).rstrip() for line in lines)


def plain_svg(picture: str) -> str:
    """The picture with nothing from elsewhere: without the fonts' addresses, a local one does."""
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL) + "\n"


def refit(explorer: Explorer) -> None:
    """Fit the axes anew: as they hold still, they depend on which frames came before."""
    mode = explorer.panes.mode
    explorer.panes.mode = "log" if mode == "full" else "full"
    explorer.panes.mode = mode


@asynccontextmanager
async def driven(
    behaviour: str,
    size: tuple[int, int] = (80, 24),
    target: str | None = "fake",
    *,
    tour: bool = False,
    source: Source | None = None,
    **options: object,
) -> AsyncIterator[Driven]:
    """The program with a scripted engine behind it."""
    app = ElboApp(target, Options(argv(behaviour), **options), tour=tour, source=source)

    async def all_handled(*_: float) -> None:
        """Every message that waits is handled; some of them send others."""
        await pilot._wait_for_screen()
        while app.input_waits:
            await asyncio.sleep(0)
        for _ in range(3):
            await pilot._wait_for_screen()
            app.screen._on_timer_update()

    async with app.run_test(size=size) as pilot:
        with pytest.MonkeyPatch.context() as patch:
            # Textual's own takes a process for idle that is given no processor.
            for module in ("textual.app", "textual.pilot"):
                patch.setattr(f"{module}.wait_for_idle", all_handled)
            yield Driven(app, pilot)
