"""The program on the screen: a gallery if nothing is named, a workspace, and the explorer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen

from tui_elbo.client.process import Engine
from tui_elbo.client.session import Options
from tui_elbo.model.tour import STOPS
from tui_elbo.ui.compat.textual import quick_driver
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.gallery import Gallery
from tui_elbo.ui.palette import AppWithPalette
from tui_elbo.ui.pane_frames import CSS
from tui_elbo.ui.style.theme import THEME
from tui_elbo.ui.tour import RuleView, TourExplorer
from tui_elbo.ui.workspace import Source, Workspace

__all__ = ["ElboApp", "Options", "run"]


class ElboApp(AppWithPalette):
    """The gallery, the workspace or the explorer, and what holds for all.

    The arguments are those of `run`.
    """

    TITLE = "elbo-tui"
    CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True, system=True),
        Binding("ctrl+q", "quit", show=False, priority=True, system=True),
    ]

    def __init__(
        self,
        target: str | None,
        options: Options,
        engine: Engine | None = None,
        *,
        tour: int = 0,
        source: Source | None = None,
        folders: Callable[[Path], Source] | None = None,
    ) -> None:
        super().__init__()
        if os.environ.get("TEXTUAL_THEME") not in self.available_themes:
            self.theme = THEME
        self.set_class(options.ascii, "-ascii")
        self._target, self._options, self._engine = target, options, engine
        self._tour, self._source, self._folders = tour, source, folders

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice, unless there is a quicker one."""
        return quick_driver(super().get_driver_class())

    def get_default_screen(self) -> Screen[Any]:
        """The gallery, the workspace, or the explorer of what was named; nothing under the tour."""
        if self._tour:
            return Screen()
        if self._source is not None:
            return Workspace(self._source, self._options, self._engine)
        if self._target is None:
            return Gallery(self._options, self._engine)
        return Explorer(self._target, self._options, self._engine)

    def on_mount(self) -> None:
        """Let signals end the program in an orderly way; remember another theme."""
        end_on_signals(self)
        keep = self._options.memory.keep
        self.theme_changed_signal.subscribe(self, lambda theme: keep(theme=theme.name))
        if self._tour:
            self.push_screen(TourExplorer(self._tour - 1, self._options, self._engine))

    def on_gallery_chosen(self, event: Gallery.Chosen) -> None:
        """Open a scenario, in the engine that has been warming up for it."""
        self.push_screen(Explorer(event.target, self._options, event.engine, back="the gallery"))

    def on_workspace_chosen(self, event: Workspace.Chosen) -> None:
        """Open a run at its last step."""
        self.push_screen(Explorer(event.file, self._options, event.engine, back="the runs"))

    def on_explorer_side_by_side(self, event: Explorer.SideBySide) -> None:
        """Show the runs of a folder over the explorer."""
        if self._folders is not None:
            self.push_screen(Workspace(self._folders(event.folder), self._options, back="the run"))

    def on_workspace_left(self) -> None:
        """Back to the run from which it was opened."""
        self.pop_screen()

    def on_gallery_tour_asked(self, event: Gallery.TourAsked) -> None:
        """Begin the tour."""
        self.push_screen(TourExplorer(0, self._options, event.engine))

    def on_tour_explorer_next(self, event: TourExplorer.Next) -> None:
        """On to the next stop; after the last, to the rule and the gallery."""
        if event.number < len(STOPS):
            self.switch_screen(TourExplorer(event.number, self._options, event.engine))
        else:
            self.on_explorer_left()
            self.push_screen(RuleView())

    def on_explorer_left(self) -> None:
        """Back to the gallery or the workspace."""
        if any(isinstance(screen, (Gallery, Workspace)) for screen in self.screen_stack[:-1]):
            self.pop_screen()
        else:
            self.switch_screen(Gallery(self._options))

    async def action_quit(self) -> None:
        """Leave at once, as a lost terminal does: what is worth it goes on, which is said."""
        self.exit(0)

    def input_was_dropped(self) -> None:
        """Say that not all that was typed has been read."""
        text = "too much was typed at once, as a paste does: the rest of it was not read"
        for screen in self.screen_stack:
            if isinstance(screen, (Explorer, Gallery, Workspace)):
                screen.answer(text)

    def action_interrupt(self) -> None:
        """Pass ctrl+c on to the explorer, whatever lies over it; it never quits."""
        for explorer in (s for s in self.screen_stack if isinstance(s, Explorer)):
            explorer.action_press("ctrl+c")


def end_on_signals(app: App[int]) -> None:
    """Let the app exit in good order when the terminal hangs up or the system ends it."""
    if app.is_headless:
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _end, app, number)


def _end(app: App[int], number: int) -> None:
    """Runs that can be found again go on."""
    app.exit(return_code=128 + number)


def run(
    target: str | None,
    options: Options,
    engine: Engine | None = None,
    *,
    mouse: bool = True,
    tour: int = 0,
    source: Source | None = None,
    folders: Callable[[Path], Source] | None = None,
) -> int:
    """Show the program until the person quits; returns the exit code.

    Args:
        target: the scenario, as a person names it; None opens the gallery.
        options: what the program was started with.
        engine: a running engine for the first scenario; without one it is started.
        mouse: let the terminal tell of the mouse.
        tour: the stop of the tour to begin at instead, from 1 on; 0 for none.
        source: the runs of a folder, to be shown instead.
        folders: opens the folder of a run's branches.
    """
    try:
        app = ElboApp(target, options, engine, tour=tour, source=source, folders=folders)
        app.run(mouse=mouse)
    finally:
        if engine is not None:
            engine.end()
        # Whichever way the screen was left, a crash and a lost terminal among them.
        with suppress(OSError, ValueError):
            for text in options.farewells:
                print(text, file=sys.stderr)
    return app.return_code or 0
