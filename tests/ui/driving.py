"""Drives the program without a terminal, against the fake engine."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from tui_elbo.client.session import Options
from tui_elbo.ui.app import ElboApp
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.panes.curve import CurvePane

FAKE = Path(__file__).with_name("fake_engine.py")
GOLDENS = Path(__file__).with_name("goldens")


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

    async def until(self, condition: Callable[[], object], tries: int = 500) -> None:
        """Let the program go on until the condition holds."""
        for _ in range(tries):
            if condition():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(f"still not so:\n{self.text()}")

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

    async def _comes_to(self, path: Path, shown: Callable[[], str], tries: int = 250) -> None:
        """Wait for what is kept: what the lens tells, and its sentence, come a little later."""
        if os.environ.get("UPDATE_GOLDENS"):
            await self.pilot.pause(2.0)
            path.write_text(shown(), encoding="utf-8")
        kept = path.read_text(encoding="utf-8")
        for _ in range(tries):
            if shown() == kept:
                return
            await self.pilot.pause(0.02)
        assert shown() == kept

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
    mode = explorer.desk.mode
    explorer.desk.mode = "log" if mode == "full" else "full"
    explorer.desk.mode = mode


@asynccontextmanager
async def driven(
    behaviour: str, size: tuple[int, int] = (80, 24), target: str | None = "fake", **options: object
) -> AsyncIterator[Driven]:
    """The program with a scripted engine behind it."""
    app = ElboApp(target, Options(argv(behaviour), **options))
    async with app.run_test(size=size) as pilot:
        yield Driven(app, pilot)
