"""The list of the gallery: a line a scenario, and below it what the chosen one is about."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Blur, Focus, Resize
from textual.message import Message

from tui_elbo.scenario import Entry
from tui_elbo.ui.canvas import Canvas, Line
from tui_elbo.ui.glyphs import Glyphs
from tui_elbo.ui.text import left, safe
from tui_elbo.ui.theme import DIM, KEY

NAME = 20
"""Columns for the name of a scenario."""

ABOUT = 6
"""Rows for what the chosen one is about."""


class Choice(Canvas, can_focus=True):
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

        def __init__(self, entry: Entry) -> None:
            self.entry = entry
            super().__init__()

    def __init__(self, entries: Sequence[Entry], glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self._entries, self._glyphs = entries, glyphs
        self._cursor = self._top = 0

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        self.cut([width])
        if not self._entries:
            self.put([[(" The gallery is empty: tab, then open a file of your own.", DIM)]])
            return
        room = max(1, height - ABOUT)
        self._top = max(self._cursor - room + 1, min(self._top, self._cursor), 0)
        shown = self._entries[self._top : self._top + room]
        lines: list[Line] = [self._line(entry, width) for entry in shown]
        lines += [[("", "")]] * (room - len(shown) if height > ABOUT else 0)
        self.put([*lines, *self._about(width)][:height])

    def _line(self, entry: Entry, width: int) -> Line:
        here = entry is self._entries[self._cursor]
        more = self._glyphs.more
        name = left(f" {safe(entry.name)}", NAME, more) + " "
        title = left(safe(entry.title), width - NAME - 1, more)
        if here:
            style = "reverse" if self.has_focus else "bold"
            return [(name + title, style)]
        return [(name, KEY), (title, "")]

    def _about(self, width: int) -> list[Line]:
        entry = self._entries[self._cursor]
        text = textwrap.wrap(safe(entry.summary), max(20, min(width - 4, 92)))
        if len(text) > ABOUT - 1:
            text = text[: ABOUT - 1]
            text[-1] = left(text[-1] + " " + self._glyphs.more, len(text[-1]) + 2)
        return [[("", "")], *([(f" {line}", DIM)] for line in text)]

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


class Word(Canvas):
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
            self.cut([self.size.width])
            self.put([self._line])

    def on_resize(self, _event: Resize) -> None:
        """Lay the line out anew."""
        self.paint()
