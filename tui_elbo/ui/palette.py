"""Everything that can be done, by name: what the command palette offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from textual.app import App, SystemCommand
from textual.screen import Screen

from tui_elbo.ui.compat.textual import CellDiffApp
from tui_elbo.ui.explorer import Explorer
from tui_elbo.ui.keys import KEYS

LEFT_OUT = ("digit", "cancel", "palette", "interrupt")
"""Actions that mean nothing by name."""


class Offering(CellDiffApp):
    """An app with the palette."""

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """What the palette offers."""
        return commands(self, screen)

    def action_command_palette(self) -> None:
        """Open it, with a word that every terminal can draw."""
        from textual.command import CommandPalette  # noqa: PLC0415 - it takes a while

        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder="what to do", id="--command-palette"))


def commands(app: App[Any], screen: Screen[Any]) -> Iterator[SystemCommand]:
    """What can be done on this screen, each with the key that does the same."""
    yield SystemCommand("theme", "colours, for a dark or a light terminal", app.action_change_theme)
    if not isinstance(screen, Explorer):
        yield SystemCommand("quit", "leave the program", partial(app.exit, 0))
        return
    save = "save the run in a file, to go on from another time"
    yield SystemCommand(save, "elbo-tui FILE goes on with it", screen.action_save)
    for key in KEYS:
        if not key.action or key.action in LEFT_OUT or (key.told and not key.label):
            continue
        first, _ = key.actions[0]
        act = getattr(screen, f"action_{key.action}")
        act = partial(act, first) if key.told else act
        yield SystemCommand(key.help, f"key: {key.show}", act)
