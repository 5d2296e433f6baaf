"""The sentence that stands for the screen when the terminal is too small for it."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class TooSmall(Widget, can_focus=False):
    """Says what size is needed, and what there is.

    Args:
        least: columns and rows.
    """

    DEFAULT_CSS = "TooSmall { width: 1fr; height: 1fr; display: none; }"

    def __init__(self, least: tuple[int, int]) -> None:
        super().__init__()
        self._least = least

    def render(self) -> Content:
        """One sentence, wrapped."""
        columns, rows = self.app.size
        return Content(
            f"elbo-tui needs {self._least[0]} columns and {self._least[1]} rows; "
            f"this terminal has {columns} and {rows}. The run goes on; q quits."
        )
