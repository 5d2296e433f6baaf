"""The program on the screen: a gallery if no scenario is named, and the explorer."""

from __future__ import annotations

import os
from typing import ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.driver import Driver

from tui_elbo.ui.driver import end_on_signals, quick
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.process import EngineProcess
from tui_elbo.ui.session import Options
from tui_elbo.ui.theme import THEME

__all__ = ["ElboApp", "Options", "run"]


class ElboApp(App[int]):
    """The gallery or the explorer, and what holds for both.

    Args:
        target: the scenario, as a person names it; None opens the gallery.
        options: what the program was started with.
        engine: a running engine for the first scenario; without one it is started.
    """

    TITLE = "elbo-tui"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True, system=True),
        Binding("ctrl+q", "quit", show=False, priority=True, system=True),
    ]

    def __init__(
        self, target: str | None, options: Options, engine: EngineProcess | None = None
    ) -> None:
        super().__init__()
        if "TEXTUAL_THEME" not in os.environ:
            self.theme = THEME
        self._target, self._options, self._engine = target, options, engine

    def get_driver_class(self) -> type[Driver]:
        """Textual's choice, but for its driver of a Unix terminal, which is slow to end."""
        return quick(super().get_driver_class())

    async def on_mount(self) -> None:
        """Open what was asked for; let signals end the program in an orderly way."""
        if not self.is_headless:
            end_on_signals(lambda number: self.exit(return_code=128 + number))
        if self._target is None:
            from tui_elbo.ui.gallery import Gallery  # noqa: PLC0415 (not needed otherwise)

            gallery = Gallery(ascii=self._options.ascii)
            await self.push_screen(gallery, self.explore)
        else:
            self.explore(self._target)

    def explore(self, target: str | None) -> None:
        """Open a scenario; None, which the gallery answers on leaving, ends the program."""
        if target is None:
            self.exit(0)
            return
        engine, self._engine = self._engine, None
        self.push_screen(Explorer(target, self._options, engine))

    def action_interrupt(self) -> None:
        """Pass ctrl+c on to the explorer, whatever lies over it; it never quits."""
        for screen in self.screen_stack:
            if isinstance(screen, Explorer):
                screen.action_interrupt()

    async def action_quit(self) -> None:
        """Quit at once."""
        self.exit(0)


def run(
    target: str | None,
    options: Options,
    engine: EngineProcess | None = None,
    *,
    mouse: bool = True,
) -> int:
    """Show the program until the person quits; the arguments are those of `ElboApp`.

    Args:
        target: the scenario; None opens the gallery.
        options: what the program was started with.
        engine: a running engine, so that it can be started before this module is imported.
        mouse: let the terminal tell of the mouse.

    Returns:
        The exit code: 0, or 1 if the program itself failed.
    """
    app = ElboApp(target, options, engine)
    try:
        app.run(mouse=mouse)
    finally:
        if engine is not None:
            engine.end()
    return app.return_code or 0
