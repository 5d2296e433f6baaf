"""The list of the gallery: a line a scenario, and below it what the chosen one is about."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby

from rich.cells import cell_len
from textual.message import Message

from tui_elbo.model.scenarios import GalleryEntry
from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import Glyphs
from tui_elbo.ui.style.text import left, plain_markdown
from tui_elbo.ui.style.theme import DIM, KEY
from tui_elbo.ui.widgets.choice_list import ChoiceList
from tui_elbo.ui.widgets.text_lines import Line

NAME = 27
"""Columns for the name of a scenario, at most."""

ABOUT = 7
"""Rows for what the chosen one is about."""


class GalleryList(ChoiceList):
    """The list: a heading for each group, and below it a line for each of its scenarios.

    Args:
        entries: what there is to choose from, group by group.
        glyphs: the characters to draw with.
    """

    class Opened(Message):
        """This scenario was chosen."""

        def __init__(self, entry: GalleryEntry) -> None:
            self.entry = entry
            super().__init__()

    def __init__(self, entries: Sequence[GalleryEntry], glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self._all, self._glyphs = entries, glyphs
        self._found = list(entries)

    def count(self) -> int:
        """How many scenarios are listed."""
        return len(self._found)

    def filtered(self) -> None:
        """List those that have all its words in their name, title or summary."""
        words = self.filter.casefold().split()
        self._found = [
            entry
            for entry in self._all
            if all(
                word in f"{entry.name} {entry.title} {entry.summary}".casefold() for word in words
            )
        ]
        self.cursor = self.top = 0
        self.paint()

    def paint(self) -> None:
        """Bring the screen up to date."""
        width, height = self.size
        if not self.is_mounted or width <= 0 or height <= 0:
            return
        if not self._found:
            nothing = f" nothing has {safe(self.filter)!r} in its name, title or summary"
            empty = " The gallery is empty: tab, then open a file of your own."
            self.set_lines([[(nothing if self.filter else empty, DIM)]])
            return
        rows = self._rows()
        here = rows.index(self._found[self.cursor])
        room = self.room
        # The heading above the first scenario of a group is shown with it.
        first = here - 1 if isinstance(rows[here - 1], str) else here
        self.top = max(here - room + 1, min(self.top, first), 0)
        shown = rows[self.top : self.top + room]
        lines = [self._line(row, width) for row in shown]
        lines += [[("", "")]] * (room - len(shown))
        below = sum(isinstance(row, GalleryEntry) for row in rows[self.top + room :])
        self.set_lines([*lines, *self._about(width, below)][:height])

    @property
    def room(self) -> int:
        """Lines that there are for headings and scenarios."""
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
        if row is self._found[self.cursor]:
            return [(name + title, "reverse" if self.has_focus else "bold")]
        return [(name, KEY), (title, "")]

    def _about(self, width: int, below: int) -> list[Line]:
        """How many there are below, the whole title, and what it is about."""
        entry = self._found[self.cursor]
        columns = max(20, min(width - 4, 92))
        text = textwrap.wrap(plain_markdown(safe(entry.summary)), columns)
        room = ABOUT - 2
        if len(text) > room:
            text = [*text[: room - 1], left(text[room - 1], columns - 2) + " " + self._glyphs.more]
        rest = f" {self._glyphs.down} {below} more" if below > 0 else ""
        lines: list[Line] = [[(rest, DIM)], [(f" {safe(entry.title)}", "bold")]]
        return [*lines, *([(f" {line}", "")] for line in text)]

    def opened(self, row: int) -> None:
        """This scenario was chosen."""
        self.post_message(self.Opened(self._found[row]))
