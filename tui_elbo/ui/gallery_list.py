"""The list of the gallery: a line a scenario, and below it what the chosen one is about."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.events import Blur, Focus, Resize
from textual.message import Message

from tui_elbo.model.scenarios import GalleryEntry
from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.widgets.text_lines import Line, TextLines

NAME = 26
"""Columns for the name of a scenario, at most."""

ABOUT = 7
"""Rows for what the chosen one is about."""


class GalleryList(TextLines, can_focus=True):
    """The list.

    Args:
        entries: what there is to choose from.
        glyphs: the characters to draw with.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """This scenario was chosen."""

        def __init__(self, entry: GalleryEntry) -> None:
            self.entry = entry
            super().__init__()

    def __init__(self, entries: Sequence[GalleryEntry], glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self._entries, self._glyphs = entries, glyphs
        self._cursor = self._top = 0

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        if not self._entries:
            self.set_lines([[(" The gallery is empty: tab, then open a file of your own.", DIM)]])
            return
        room = max(1, height - ABOUT)
        self._top = max(self._cursor - room + 1, min(self._top, self._cursor), 0)
        shown = self._entries[self._top : self._top + room]
        lines = [self._line(entry, width) for entry in shown]
        lines += [[("", "")]] * (room - len(shown))
        self.set_lines(
            [*lines, *self._about(width, len(self._entries) - self._top - room)][:height]
        )

    def _line(self, entry: GalleryEntry, width: int) -> Line:
        more = self._glyphs.more
        longest = max(cell_len(safe(one.name)) for one in self._entries)
        name = left(f" {safe(entry.name)}", min(NAME, longest + 1), more) + "  "
        title = left(safe(entry.title), max(1, width - cell_len(name) - 1), more) + " "
        if entry is self._entries[self._cursor]:
            return [(name + title, "reverse" if self.has_focus else "bold")]
        return [(name, KEY), (title, "")]

    def _about(self, width: int, below: int) -> list[Line]:
        """How many there are below, the whole title, and what it is about."""
        entry = self._entries[self._cursor]
        columns = max(20, min(width - 4, 92))
        text = textwrap.wrap(safe(entry.summary), columns)
        room = ABOUT - 2
        if len(text) > room:
            text = [*text[: room - 1], left(text[room - 1], columns - 2) + " " + self._glyphs.more]
        rest = f" {self._glyphs.down} {below} more" if below > 0 else ""
        lines: list[Line] = [[(rest, DIM)], [(f" {safe(entry.title)}", "bold")]]
        return [*lines, *([(f" {line}", "")] for line in text)]

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._cursor = max(0, min(self._cursor + by, len(self._entries) - 1))
        self.paint()

    def action_open(self) -> None:
        """Choose what is under the cursor."""
        if self._entries:
            self.post_message(self.Opened(self._entries[self._cursor]))

    def on_resize(self, _event: Resize) -> None:
        """Lay the list out anew."""
        self.paint()

    def on_focus(self, _event: Focus) -> None:
        """Show the cursor."""
        self.paint()

    def on_blur(self, _event: Blur) -> None:
        """Hide the cursor."""
        self.paint()


class TextLine(TextLines):
    """One line of text."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._line: Line = [("", "")]

    def show(self, line: Line) -> None:
        """Show this line."""
        self._line = line
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        if self.is_mounted and self.size.width > 0:
            self.set_lines([self._line])

    def on_resize(self, _event: Resize) -> None:
        """Lay the line out anew."""
        self.paint()
