"""Everything that can be done, by name: what the command palette offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen

from tui_elbo.ui.compat.textual import CellDiffApp, palette_class
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.keys import by_name


class AppWithPalette(CellDiffApp):
    """An app with the palette."""

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        return commands(self, screen)

    def action_command_palette(self) -> None:
        """Open it, with a word that every terminal can draw."""
        if not isinstance(self.screen, palette_class()):
            self.push_screen(palette_class()(placeholder="what to do"))

    def search_themes(self) -> None:
        """Offer the themes in a palette of the same kind."""
        from textual.theme import ThemeProvider  # noqa: PLC0415 - it takes a while

        self.push_screen(palette_class()([ThemeProvider], placeholder="which theme"))


def commands(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """What can be done on this screen, each with the key that does the same."""
    yield SystemCommand("theme", "colours, for a dark or a light terminal", app.action_change_theme)
    if not isinstance(screen, Explorer):
        yield SystemCommand("quit", "leave the program", partial(app.exit, 0))
        return
    for key in by_name(screen):
        note = f"key: {key.show}" if key.key else key.label
        yield SystemCommand(key.help, note, partial(key.press, screen))
