"""Sentences that stand where panes would be."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from tui_elbo.model.text import safe


class TooSmall(Widget, can_focus=False):
    """Says what size is needed, and what there is.

    Args:
        least: columns and rows.
        more: what else there is to know.
    """

    DEFAULT_CSS = "TooSmall { width: 1fr; height: 1fr; }"

    def __init__(self, least: tuple[int, int], more: str) -> None:
        super().__init__()
        self._least, self._more = least, more

    def render(self) -> Content:
        """One sentence, wrapped."""
        columns, rows = self.app.size
        return Content(
            f"elbo-tui needs {self._least[0]} columns and {self._least[1]} rows; "
            f"this terminal has {columns} and {rows}. {self._more}"
        )


class MissingTermsNote(Widget, can_focus=False):
    """Says why two of the curves are missing."""

    DEFAULT_CSS = "MissingTermsNote { padding: 1; }"

    def __init__(self) -> None:
        super().__init__(id="why")
        self._note = ""

    def show(self, note: str) -> None:
        """Show this; empty for nothing."""
        if note != self._note:
            self._note = note
            self.refresh()

    def render(self) -> Content:
        """The sentence, wrapped."""
        return Content(f"No log p and log q: {safe(self._note)}")
