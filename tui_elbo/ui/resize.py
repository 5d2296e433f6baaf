"""A terminal whose size goes there and back is drawn again."""

from __future__ import annotations

from textual.app import App
from textual.geometry import Size
from textual.timer import Timer

SETTLED = 0.1
"""Seconds without another change after which a terminal has found its size."""


class Settling(App[int]):
    """An app that draws its screen again when sizes have come and gone.

    Textual lays out a size that has lasted for some milliseconds; if that is the one of before,
    it draws nothing, while the terminal has lost the cells that the sizes between had no room for.
    """

    _resized: Timer | None = None

    def on_resize(self) -> None:
        """Wait for the size to last."""
        if self._resized is None:
            size = self.screen.outer_size
            self._resized = self.set_timer(SETTLED, lambda: self._settle(size))
        self._resized.reset()

    def _settle(self, before: Size) -> None:
        self._resized = None
        if before == self.size:
            self.screen.refresh()
