"""The list of the gallery: a line a scenario, and below it what the chosen one is about."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from typing import ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.events import Blur, Focus, Resize
from textual.message import Message

from tui_elbo.model.scenarios import GalleryEntry
from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left, plain_markdown
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.widgets.text_lines import Line, TextLines

NAME = 27
"""Columns for the name of a scenario, at most."""

ABOUT = 7
"""Rows for what the chosen one is about."""


class GalleryList(TextLines, can_focus=True):
    """The list: a heading for each group, and below it a line for each of its scenarios.

    Args:
        entries: what there is to choose from, group by group.
        glyphs: the characters to draw with.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown,space", "page(1)", show=False),
        Binding("home", "move(-10000)", show=False),
        Binding("end", "move(10000)", show=False),
        Binding("enter", "open", show=False),
    ]

    class Opened(Message):
        """This scenario was chosen."""

        def __init__(self, entry: GalleryEntry) -> None:
            self.entry = entry
            super().__init__()

    def __init__(self, entries: Sequence[GalleryEntry], glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self._all, self._glyphs = entries, glyphs
        self._found = list(entries)
        self._filter = ""
        self._cursor = self._top = 0

    @property
    def filter(self) -> str:
        """Only scenarios that have all its words in their name, title or summary are listed."""
        return self._filter

    @filter.setter
    def filter(self, text: str) -> None:
        if text == self._filter:
            return
        self._filter, words = text, text.casefold().split()
        self._found = [
            entry
            for entry in self._all
            if all(
                word in f"{entry.name} {entry.title} {entry.summary}".casefold() for word in words
            )
        ]
        self._cursor = self._top = 0
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        if not self._found:
            nothing = f" nothing has {safe(self._filter)!r} in its name, title or summary"
            empty = " The gallery is empty: tab, then open a file of your own."
            self.set_lines([[(nothing if self._filter else empty, DIM)]])
            return
        rows = self._rows()
        here = rows.index(self._found[self._cursor])
        room = self._room()
        # The heading above the first scenario of a group is shown with it.
        first = here - 1 if isinstance(rows[here - 1], str) else here
        self._top = max(here - room + 1, min(self._top, first), 0)
        shown = rows[self._top : self._top + room]
        lines = [self._line(row, width) for row in shown]
        lines += [[("", "")]] * (room - len(shown))
        below = sum(isinstance(row, GalleryEntry) for row in rows[self._top + room :])
        self.set_lines([*lines, *self._about(width, below)][:height])

    def _room(self) -> int:
        return max(1, self.size.height - ABOUT)

    def _rows(self) -> list[str | GalleryEntry]:
        """The headings and the scenarios."""
        return [
            row
            for group, entries in groupby(self._found, lambda entry: entry.group)
            for row in (group, *entries)
        ]

    def _line(self, row: str | GalleryEntry, width: int) -> Line:
        more = self._glyphs.more
        if isinstance(row, str):
            return [(left(f" {row}", width, more), "bold")]
        longest = max(cell_len(safe(one.name)) for one in self._all)
        name = left(f"  {safe(row.name)}", min(NAME, longest + 2), more) + "  "
        title = left(safe(row.title), max(1, width - cell_len(name) - 1), more) + " "
        if row is self._found[self._cursor]:
            return [(name + title, "reverse" if self.has_focus else "bold")]
        return [(name, KEY), (title, "")]

    def _about(self, width: int, below: int) -> list[Line]:
        """How many there are below, the whole title, and what it is about."""
        entry = self._found[self._cursor]
        columns = max(20, min(width - 4, 92))
        text = textwrap.wrap(plain_markdown(safe(entry.summary)), columns)
        room = ABOUT - 2
        if len(text) > room:
            text = [*text[: room - 1], left(text[room - 1], columns - 2) + " " + self._glyphs.more]
        rest = f" {self._glyphs.down} {below} more" if below > 0 else ""
        lines: list[Line] = [[(rest, DIM)], [(f" {safe(entry.title)}", "bold")]]
        return [*lines, *([(f" {line}", "")] for line in text)]

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._cursor = max(0, min(self._cursor + by, len(self._found) - 1))
        self.paint()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many screenfuls."""
        self.action_move(by * max(1, self._room() - 1))

    def action_open(self) -> None:
        """Choose what is under the cursor."""
        if self._found:
            self.post_message(self.Opened(self._found[self._cursor]))

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
