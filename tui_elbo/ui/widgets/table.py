"""A table whose rows stay where they are: one header, one block of lines a row, a cursor."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from tui_elbo.model.text import safe
from tui_elbo.ui.style.glyphs import ASCII, UNICODE
from tui_elbo.ui.style.theme import DIM
from tui_elbo.ui.widgets.choice_list import CursorLines
from tui_elbo.ui.widgets.text_lines import Line

MANY = 200
"""More rows than any screen has."""


class Table(CursorLines):
    """Base of the tables: a subclass gives columns, header and rows, this one the window on them.

    Only the rows on the screen are ever built. Rows of several lines are shown whole when all of
    them fit; otherwise each takes one line, but for the one under the cursor.

    Args:
        name: what the table shows; the first part of its title.
        empty: what to say while there are no rows.
        id: the widget's id.
        ascii: draw with ASCII characters alone.
    """

    def __init__(self, name: str, empty: str, *, id: str, ascii: bool = False) -> None:
        super().__init__(id=id)
        self.glyphs = ASCII if ascii else UNICODE
        self.detail = ""
        """The second part of the title."""
        self._heading, self._empty = name, empty
        self._planned = -1
        self._title = ""

    # What a subclass gives.

    def plan(self, width: int) -> None:
        """Choose the columns and their widths. They stay until `replan` is called."""
        raise NotImplementedError

    def header(self) -> Line:
        """The line that names the columns."""
        raise NotImplementedError

    def height_of(self, row: int) -> int:
        """How many lines the row takes when it is shown whole."""
        raise NotImplementedError

    def lines_of(self, row: int, whole: bool) -> Sequence[Line]:
        """The row: `height_of` lines if `whole`, else one."""
        raise NotImplementedError

    def wanted_height(self) -> int:
        """How many lines it takes to show everything, the header included."""
        count = self.count()
        return 1 + (sum(map(self.height_of, range(count))) if count <= MANY else count)

    def apply_filter(self) -> None:
        """The filter has changed: choose the rows anew. Nothing for a table without a filter."""

    def filtered(self) -> None:
        """Choose the rows and the columns anew."""
        self.apply_filter()
        self.replan()
        self.paint()

    def keeps(self, name: str) -> bool:
        """Whether a row of this name passes the filter, in which capitals do not matter."""
        return self._filter.casefold() in name.casefold()

    # The window on it.

    def replan(self) -> None:
        """There are other rows now: choose the columns again."""
        self._planned = -1

    def paint(self) -> None:
        """Bring the screen up to date."""
        if not self.is_mounted or self.size.width <= 0 or self.size.height <= 0:
            return
        width = self.size.width
        if width != self._planned:
            self._planned = width
            self.plan(width)
        lines, shown = self._window(self.size.height - 1)
        empty = f"nothing has {safe(self._filter)!r} in its name" if self._filter else self._empty
        self.set_lines([self.header(), *(lines or [[(f" {empty}", DIM)]])])
        parts = [self._heading, self.detail]
        parts += [f"/{safe(self._filter)} {self.count()}"] if self._filter else []
        if shown < self.count():
            parts.append(f"{self.top + 1}-{self.top + shown} of {self.count()}")
        title = " ── ".join(part for part in parts if part)
        title = title if self.glyphs is UNICODE else title.replace("──", "--")
        if title != self._title:
            self._title = title
            self.border_title = Content(title)

    def _window(self, room: int) -> tuple[list[Line], int]:
        """The lines of the rows from `top` on, and how many rows that are."""
        count = self.count()
        self.cursor = max(0, min(self.cursor, count - 1))
        everything = count <= room and sum(self.height_of(row) for row in range(count)) <= room
        if everything:
            self.top = 0
        else:
            extra = self.height_of(self.cursor) if self.has_focus and count else 1
            self.top = max(self.cursor + extra - room, min(self.top, self.cursor), 0)
            self.top = max(0, min(self.top, count + extra - 1 - room))
        lines: list[Line] = []
        shown = 0
        for row in range(self.top, count):
            here = self.has_focus and row == self.cursor
            block = list(self.lines_of(row, everything or here))
            if len(lines) + len(block) > room and lines:
                break
            if here:
                block[0] = [("".join(text for text, _ in block[0]), "reverse")]
            lines += block[:room]
            shown += 1
        return lines, shown
