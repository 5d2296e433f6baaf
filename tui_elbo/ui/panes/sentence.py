"""The plain sentence: what moved, in words, always on the screen."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from textual.events import Resize

from tui_elbo.model.text import safe
from tui_elbo.ui.style.text import left
from tui_elbo.ui.widgets.canvas import Line
from tui_elbo.ui.widgets.status import Bottom

WIDE = 160
"""Columns from which on each sentence has room in one row."""

EVERY = 1.0
"""Seconds from one sentence to the next while running: nobody reads faster."""


class SentenceLine(Bottom):
    """A sentence in one row or two."""

    DEFAULT_CSS = "SentenceLine { height: 2; }"

    def __init__(self, *, id: str = "sentence", ascii: bool = False) -> None:
        super().__init__(id=id, ascii=ascii)
        self._text, self._next = "", 0.0

    def show(self, text: str, now: float, *, live: bool) -> None:
        """Show a sentence.

        Args:
            text: may hold text of the user's world.
            now: seconds, by a monotonic clock.
            live: the run goes on, and other sentences will come.
        """
        if text == self._text or (live and now < self._next):
            return
        self._text, self._next = text, now + EVERY
        self.paint()

    def lines(self, width: int) -> Sequence[Line]:
        """The sentence wrapped into the rows that there are."""
        rows = max(1, self.size.height)
        text = self.glyphs.plain(safe(self._text))
        lines = textwrap.wrap(text, max(10, width - 2))
        last = " ".join(lines[rows - 1 :])
        shown = [*lines[: rows - 1], last][:rows]
        shown += [""] * (rows - len(shown))
        return [[(left(f" {line}", width, self.glyphs.more), "")] for line in shown]

    def on_resize(self, event: Resize) -> None:
        """One row where that is enough for any sentence."""
        self.styles.height = 1 if event.size.width >= WIDE else 2
        self.paint()
